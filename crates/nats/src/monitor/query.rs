//! What stands behind the question mark.

use std::str::FromStr;

use super::Unanswerable;

/// Most entries on one page, unless fewer are asked for.
const LIMIT: usize = 1024;

/// Names and values of a request, as they stand.
pub(super) struct Query<'q>(&'q str);

/// Which part of a list is shown.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) struct Part {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl<'q> Query<'q> {
    pub(super) fn new(query: &'q str) -> Self {
        Self(query)
    }

    /// The value of `name`, if it has one. Names and values here have no characters that are encoded.
    pub(super) fn get(&self, name: &str) -> Option<&'q str> {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// Whether `name` is set.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Unanswerable> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(value) => Err(wrong(name, value, "write `1` or `0`")),
        }
    }

    /// The number that `name` is.
    pub(super) fn number<N: FromStr>(&self, name: &'static str) -> Result<Option<N>, Unanswerable> {
        let number = |value: &str| value.parse().map_err(|_| wrong(name, value, "write a number"));
        self.get(name).map(number).transpose()
    }

    /// Which part of a list is asked for.
    pub(super) fn part(&self) -> Result<Part, Unanswerable> {
        let limit = self.number("limit")?.filter(|limit| *limit > 0).unwrap_or(LIMIT);
        Ok(Part { offset: self.number("offset")?.unwrap_or(0), limit })
    }
}

impl Part {
    /// That part of `all`.
    pub(super) fn of<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

pub(super) fn wrong(name: &'static str, value: &str, expected: &'static str) -> Unanswerable {
    Unanswerable::Query { name, value: value.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let query = Query::new("subs=detail&limit=5&offset=&auth=true");
        assert_eq!((query.get("subs"), query.get("sub"), query.get("offset")), (Some("detail"), None, None));
        assert_eq!((query.flag("auth"), query.flag("other")), (Ok(true), Ok(false)));
        assert_eq!(query.part(), Ok(Part { offset: 0, limit: 5 }));
    }

    #[test]
    fn what_is_no_number_is_told() {
        let error = Query::new("limit=x").part().unwrap_err();
        assert_eq!(error.to_string(), "`limit` cannot be `x`: write a number");
        assert!(Query::new("auth=maybe").flag("auth").is_err());
    }

    #[test]
    fn a_part_beyond_the_end_is_empty() {
        assert_eq!(Part { offset: 1, limit: 2 }.of(vec![1, 2, 3, 4]), [2, 3]);
        assert_eq!(Part { offset: 9, limit: 2 }.of(vec![1]), Vec::<i32>::new());
    }
}
