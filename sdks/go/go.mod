module github.com/flagbase/flagbase/sdks/go

go 1.22
