//! How a configuration is written: `key value`, `key: value`, `key = value`, blocks, lists and comments.

use std::{iter::Peekable, str::Chars};

/// Blocks within blocks, at most.
const DEEPEST: usize = 32;

/// What stands behind a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `text`, `"text"` or `'text'`
    Text(String),
    /// `4222`, `64MB`
    Integer(i64),
    /// `1.5`
    Real(f64),
    /// `true`, `yes`, `on` and their opposites
    Truth(bool),
    /// `[one, two]`
    List(Vec<Value>),
    /// `{ key: value }`
    Block(Block),
}

/// Keys and values in the order they stand.
pub(crate) type Block = Vec<(String, Value)>;

/// Where a configuration cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct SyntaxError {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

/// Reads a whole configuration.
pub(crate) fn parse(text: &str) -> Result<Block, SyntaxError> {
    let mut reader = Reader { chars: text.chars().peekable(), line: 1, depth: 0, scopes: Vec::new() };
    reader.block(None)
}

struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    line: usize,
    depth: usize,
    /// Blocks that are still open, outermost first: where `$name` is looked up.
    scopes: Vec<Block>,
}

impl Reader<'_> {
    fn block(&mut self, end: Option<char>) -> Result<Block, SyntaxError> {
        self.deeper()?;
        self.scopes.push(Block::new());
        loop {
            self.separators();
            match self.chars.peek() {
                None if end.is_none() => break,
                None => return self.error("a `}` is missing at the end"),
                found if found == end.as_ref() => {
                    self.take();
                    break;
                }
                Some('}') => return self.error("a `}` closes nothing"),
                Some(_) => self.entry()?,
            }
        }
        self.depth -= 1;
        Ok(self.scopes.pop().unwrap_or_default())
    }

    fn entry(&mut self) -> Result<(), SyntaxError> {
        let key = self.key()?;
        if key == "include" {
            return self.error("`include` is not supported: write everything in one file");
        }
        self.blanks();
        if self.chars.next_if(|c| matches!(c, ':' | '=')).is_some() {
            self.separators();
        }
        if matches!(self.chars.peek(), None | Some('\n' | ',' | ';' | '}')) {
            return self.error(&format!("`{key}` has no value"));
        }
        let value = self.value()?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.push((key, value));
        }
        Ok(())
    }

    fn key(&mut self) -> Result<String, SyntaxError> {
        if let Some(quote) = self.chars.next_if(|c| matches!(c, '"' | '\'')) {
            return self.quoted(quote);
        }
        let mut key = String::new();
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && !":={[}],;\"'".contains(*c)) {
            key.push(c);
        }
        if key.is_empty() { self.error("a key was expected") } else { Ok(key) }
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.chars.peek() {
            Some('{') => {
                self.take();
                self.block(Some('}')).map(Value::Block)
            }
            Some('[') => {
                self.take();
                self.list().map(Value::List)
            }
            Some(quote @ ('"' | '\'')) => {
                let quote = *quote;
                self.take();
                self.quoted(quote).map(Value::Text)
            }
            _ => self.word(),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, SyntaxError> {
        self.deeper()?;
        let mut values = Vec::new();
        loop {
            self.separators();
            match self.chars.peek() {
                None => return self.error("a `]` is missing at the end"),
                Some(']') => break,
                Some('}') => return self.error("a `]` is missing before the `}`"),
                Some(_) => values.push(self.value()?),
            }
        }
        self.take();
        self.depth -= 1;
        Ok(values)
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && !"{[}],;".contains(*c)) {
            word.push(c);
        }
        if let Some(name) = word.strip_prefix('$') {
            return self.variable(name);
        }
        if word.is_empty() { self.error("a value was expected") } else { Ok(Value::of(word)) }
    }

    /// The value that an earlier key of that name has, in this block or around it.
    fn variable(&self, name: &str) -> Result<Value, SyntaxError> {
        let entries = self.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
        let found = entries.into_iter().find(|(key, _)| key == name);
        found.map_or_else(
            || self.error(&format!("`${name}` is not set before it is used")),
            |(_, value)| Ok(value.clone()),
        )
    }

    fn quoted(&mut self, quote: char) -> Result<String, SyntaxError> {
        let mut text = String::new();
        while let Some(c) = self.take() {
            match c {
                c if c == quote => return Ok(text),
                '\\' if quote == '"' => text.push(match self.take() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(c @ ('"' | '\\')) => c,
                    _ => return self.error("after `\\` comes one of `n`, `r`, `t`, `\"` and `\\`"),
                }),
                c => text.push(c),
            }
        }
        self.error(&format!("a text has no closing `{quote}`"))
    }

    /// Blanks, line breaks, commas, semicolons and comments.
    fn separators(&mut self) {
        loop {
            match self.chars.peek() {
                Some(c) if c.is_whitespace() || matches!(c, ',' | ';') => {
                    self.take();
                }
                Some('#') => self.comment(),
                Some('/') => {
                    let mut ahead = self.chars.clone();
                    ahead.next();
                    if ahead.next() != Some('/') {
                        return;
                    }
                    self.comment();
                }
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        while self.chars.next_if(|c| *c != '\n').is_some() {}
    }

    fn blanks(&mut self) {
        while self.chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    }

    fn take(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn deeper(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth > DEEPEST { self.error("too many blocks within blocks") } else { Ok(()) }
    }

    fn error<T>(&self, problem: &str) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, problem: problem.to_owned() })
    }
}

impl Value {
    /// What a word without quotes means.
    fn of(word: String) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => return Self::Truth(true),
            "false" | "no" | "off" => return Self::Truth(false),
            _ => {}
        }
        if let Some(number) = integer(&word) {
            return Self::Integer(number);
        }
        let number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-').then(|| word.parse().ok());
        number.flatten().map_or(Self::Text(word), Self::Real)
    }

    /// How it is called in errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Real(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Block(_) => "a block",
        }
    }
}

/// Digits with a unit of size behind them, or none. `K` is a thousand, `KB` and `KiB` are 1024.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, unit) = digits.split_at(end);
    let unit = unit.to_ascii_lowercase();
    let (power, base) = match unit.as_bytes() {
        [] => (0, 1),
        [prefix] => (power(*prefix)?, 1000),
        [prefix, b'b' | b'i'] | [prefix, b'i', b'b'] => (power(*prefix)?, 1024),
        _ => return None,
    };
    let sign = if word.starts_with('-') { -1 } else { 1 };
    digits.parse::<i64>().ok()?.checked_mul(i64::checked_pow(base, power)?)?.checked_mul(sign)
}

fn power(prefix: u8) -> Option<u32> {
    Some(match prefix {
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn value(word: &str) -> Value {
        parse(&format!("key {word}")).unwrap().remove(0).1
    }

    fn problem(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_key_and_its_value_are_joined_by_whatever_people_use() {
        let expected = vec![("port".to_owned(), Value::Integer(4222))];
        for form in ["port 4222", "port: 4222", "port = 4222", "port:4222", "port=4222", "'port' :\n 4222;"] {
            assert_eq!(parse(form).unwrap(), expected, "{form}");
        }
    }

    #[test]
    fn comments_are_not_read_but_a_url_is_no_comment() {
        let read = parse("# one\n// two\nurl: nats://a:4222 # three\nlast 1").unwrap();
        let expected = vec![("url".into(), text("nats://a:4222")), ("last".into(), Value::Integer(1))];
        assert_eq!(read, expected);
    }

    #[test]
    fn blocks_and_lists_nest_with_any_separator() {
        let read = parse("a { b: [1, two\n 'three'], c { d: true } e: [{f: 1}, {f: 2}] }").unwrap();
        let Value::Block(a) = &read[0].1 else { panic!("{read:?}") };
        assert_eq!(a[0].1, Value::List(vec![Value::Integer(1), text("two"), text("three")]));
        assert_eq!(a[1].1, Value::Block(vec![("d".into(), Value::Truth(true))]));
        assert!(matches!(&a[2].1, Value::List(blocks) if blocks.len() == 2));
    }

    #[test]
    fn words_mean_what_they_look_like() {
        for (word, expected) in [
            ("64MB", Value::Integer(64 << 20)),
            ("64MiB", Value::Integer(64 << 20)),
            ("10GiB", Value::Integer(10 << 30)),
            ("128KB", Value::Integer(128 << 10)),
            ("1k", Value::Integer(1000)),
            ("-1", Value::Integer(-1)),
            ("1.5", Value::Real(1.5)),
            ("off", Value::Truth(false)),
            ("300ms", text("300ms")),
            ("127.0.0.1:0", text("127.0.0.1:0")),
            ("\"64MB\"", text("64MB")),
            ("99999999999T", text("99999999999T")),
        ] {
            assert_eq!(value(word), expected, "{word}");
        }
    }

    #[test]
    fn a_variable_is_a_key_set_before() {
        let read = parse("secret: s3cr3t\nusers { secret: inner, a: $secret }\nb: $secret").unwrap();
        let Value::Block(users) = &read[1].1 else { panic!("{read:?}") };
        assert_eq!((&users[1].1, &read[2].1), (&text("inner"), &text("s3cr3t")));
        assert_eq!(problem("a: $later\nlater: 1"), "line 1: `$later` is not set before it is used");
    }

    #[test]
    fn quotes_keep_what_is_in_them() {
        assert_eq!(value(r#""a\tb\"c""#), text("a\tb\"c"));
        assert_eq!(value(r"'a\tb'"), text(r"a\tb"));
        assert_eq!(value("'{# no block'"), text("{# no block"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        assert_eq!(problem("a 1\nb {"), "line 2: a `}` is missing at the end");
        assert_eq!(problem("a 1\n}"), "line 2: a `}` closes nothing");
        assert_eq!(problem("a [1"), "line 1: a `]` is missing at the end");
        assert_eq!(problem("a { b [1 }"), "line 1: a `]` is missing before the `}`");
        assert_eq!(problem("a 'b"), "line 1: a text has no closing `'`");
        assert_eq!(problem("a\nb 1"), "line 1: `a` has no value");
        assert_eq!(problem("= 1"), "line 1: a key was expected");
        assert!(problem("include other.conf").contains("one file"));
        assert!(problem(&"a {".repeat(1000)).contains("too many"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9 \\n{}\\[\\]:=,;'\"$#/\\\\]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn quoted_texts_come_back(text in "[^'\\\\]{0,40}") {
            prop_assert_eq!(parse(&format!("key '{text}'")).unwrap().remove(0).1, Value::Text(text));
        }
    }
}
