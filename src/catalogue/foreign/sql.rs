//! A dump of MySQL or MariaDB, read as far as an import needs it: which columns a table has, and its rows.
//!
//! Nothing is executed: `CREATE TABLE` names columns, `INSERT` and `REPLACE` give rows, everything else is passed
//! over. The one rule: a text is what the dump's quoting says, so what a customer was called can never become
//! a statement.

use std::collections::BTreeMap;

use super::super::roster::BadLine;

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The line of the file on which it begins, from 1.
    pub(super) line: u64,
    cells: BTreeMap<String, String>,
}

impl Record {
    /// A cell's text, trimmed; `None` for what is empty, NULL or not there.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        self.cells.get(column).map(|text| text.trim()).filter(|text| !text.is_empty())
    }
}

/// Rows by table, names in lower case.
pub(super) type Tables = BTreeMap<String, Vec<Record>>;

/// Reads the tables of these names.
pub(super) fn tables(text: &str, wanted: &[&str]) -> Result<Tables, BadLine> {
    let mut reader =
        Reader { lexer: Lexer { rest: text, line: 1 }, columns: BTreeMap::new(), rows: Tables::new() };
    while let Some(token) = reader.lexer.next()? {
        let Token::Word(word) = token else { continue };
        match word.to_ascii_uppercase().as_str() {
            "CREATE" => reader.create()?,
            "INSERT" | "REPLACE" => reader.insert(wanted)?,
            _ => reader.skip()?,
        }
    }
    Ok(reader.rows)
}

struct Reader<'t> {
    lexer: Lexer<'t>,
    columns: BTreeMap<String, Vec<String>>,
    rows: Tables,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word or a number.
    Word(String),
    /// A name in backquotes.
    Name(String),
    /// A text in quotes.
    Text(String),
    /// Anything else.
    Mark(char),
}

impl Reader<'_> {
    /// `CREATE TABLE name ( column …, column …, KEY … );`
    fn create(&mut self) -> Result<(), BadLine> {
        let is_table =
            matches!(self.lexer.next()?, Some(Token::Word(word)) if word.eq_ignore_ascii_case("table"));
        if !is_table {
            return self.skip();
        }
        let mut name = None;
        loop {
            match self.lexer.next()? {
                Some(Token::Mark('(')) => break,
                Some(Token::Mark(';')) | None => return Ok(()),
                Some(Token::Name(found) | Token::Word(found)) => name = Some(found),
                Some(Token::Text(_) | Token::Mark(_)) => {}
            }
        }
        let (mut columns, mut depth, mut first) = (Vec::new(), 1u32, true);
        while depth > 0 {
            match self.lexer.next()? {
                None => break,
                Some(Token::Mark('(')) => depth = depth.saturating_add(1),
                Some(Token::Mark(')')) => depth = depth.saturating_sub(1),
                Some(Token::Mark(',')) if depth == 1 => {
                    first = true;
                    continue;
                }
                Some(Token::Name(column)) if first => columns.push(column.to_lowercase()),
                Some(Token::Word(word)) if first && !is_key(&word) => columns.push(word.to_lowercase()),
                Some(Token::Name(_) | Token::Word(_) | Token::Text(_) | Token::Mark(_)) => {}
            }
            first = false;
        }
        if let Some(name) = name {
            self.columns.insert(name.to_lowercase(), columns);
        }
        self.skip()
    }

    /// `INSERT [IGNORE] INTO name [(column, …)] VALUES (value, …), (value, …);`
    fn insert(&mut self, wanted: &[&str]) -> Result<(), BadLine> {
        let (mut name, mut named) = (None, None);
        loop {
            match self.lexer.next()? {
                Some(Token::Mark('(')) => named = Some(self.names()?),
                Some(Token::Word(word)) if is_values(&word) => break,
                Some(Token::Word(word)) if is_modifier(&word) => {}
                Some(Token::Name(found) | Token::Word(found)) => name = Some(found.to_lowercase()),
                Some(Token::Mark(';')) | None => return Ok(()),
                Some(Token::Text(_) | Token::Mark(_)) => {}
            }
        }
        let Some(name) = name.filter(|name| wanted.contains(&name.as_str())) else { return self.skip() };
        let known = named.or_else(|| self.columns.get(&name).cloned());
        let line = self.lexer.line;
        let columns = known.ok_or_else(|| {
            self.lexer.bad(line, &format!("the columns of {name} are not known; dump it with CREATE TABLE"))
        })?;
        loop {
            match self.lexer.next()? {
                Some(Token::Mark('(')) => {
                    let record = self.record(&columns)?;
                    self.rows.entry(name.clone()).or_default().push(record);
                }
                Some(Token::Mark(',')) => {}
                Some(Token::Mark(';')) | None => return Ok(()),
                // ON DUPLICATE KEY UPDATE …
                Some(_) => return self.skip(),
            }
        }
    }

    fn names(&mut self) -> Result<Vec<String>, BadLine> {
        let mut names = Vec::new();
        loop {
            match self.lexer.next()? {
                Some(Token::Name(name) | Token::Word(name)) => names.push(name.to_lowercase()),
                Some(Token::Mark(')')) | None => return Ok(names),
                Some(Token::Text(_) | Token::Mark(_)) => {}
            }
        }
    }

    fn record(&mut self, columns: &[String]) -> Result<Record, BadLine> {
        let line = self.lexer.line;
        let (mut cells, mut place, mut value) = (BTreeMap::new(), 0usize, None::<String>);
        loop {
            let token = self.lexer.next()?.ok_or_else(|| self.lexer.bad(line, "the row does not end"))?;
            match token {
                Token::Mark(mark @ (',' | ')')) => {
                    match (columns.get(place), value.take()) {
                        (Some(column), Some(value)) => drop(cells.insert(column.clone(), value)),
                        (Some(_), None) => {}
                        (None, _) => {
                            return Err(self.lexer.bad(line, "the row has more values than columns"));
                        }
                    }
                    place = place.saturating_add(1);
                    if mark == ')' {
                        return Ok(Record { line, cells });
                    }
                }
                Token::Word(word) if word.eq_ignore_ascii_case("null") || word.starts_with('_') => {}
                Token::Word(text) | Token::Text(text) | Token::Name(text) => {
                    value = Some(value.unwrap_or_default() + &text);
                }
                Token::Mark(mark) => value = Some(value.unwrap_or_default() + &mark.to_string()),
            }
        }
    }

    /// To the end of the statement.
    fn skip(&mut self) -> Result<(), BadLine> {
        loop {
            match self.lexer.next()? {
                Some(Token::Mark(';')) | None => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

fn is_key(word: &str) -> bool {
    ["KEY", "PRIMARY", "UNIQUE", "INDEX", "CONSTRAINT", "FOREIGN", "FULLTEXT", "SPATIAL", "CHECK"]
        .iter()
        .any(|key| key.eq_ignore_ascii_case(word))
}

fn is_values(word: &str) -> bool {
    word.eq_ignore_ascii_case("values") || word.eq_ignore_ascii_case("value")
}

fn is_modifier(word: &str) -> bool {
    ["INTO", "IGNORE", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"]
        .iter()
        .any(|one| one.eq_ignore_ascii_case(word))
}

struct Lexer<'t> {
    rest: &'t str,
    line: u64,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Option<Token>, BadLine> {
        loop {
            let Some(first) = self.rest.chars().next() else { return Ok(None) };
            if first.is_whitespace() {
                self.take();
            } else if first == '#' || self.rest.starts_with("--") {
                while self.take().is_some_and(|symbol| symbol != '\n') {}
            } else if self.rest.starts_with("/*") {
                self.comment()?;
            } else {
                return self.token(first).map(Some);
            }
        }
    }

    fn token(&mut self, first: char) -> Result<Token, BadLine> {
        match first {
            '`' => self.quoted('`').map(Token::Name),
            '\'' | '"' => self.quoted(first).map(Token::Text),
            first if is_word(first) => {
                let length = self.rest.find(|symbol| !is_word(symbol)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(length);
                self.rest = rest;
                Ok(Token::Word(word.to_owned()))
            }
            _ => Ok(Token::Mark(self.take().unwrap_or(first))),
        }
    }

    fn comment(&mut self) -> Result<(), BadLine> {
        let line = self.line;
        let end = self.rest.find("*/").ok_or_else(|| self.bad(line, "the comment does not end"))?;
        let (passed, rest) = self.rest.split_at(end.saturating_add(2));
        self.line = self.line.saturating_add(lines_in(passed));
        self.rest = rest;
        Ok(())
    }

    /// A text or name up to its closing quote; the quote doubled stands for itself, and so does what follows a
    /// backslash, but for the letters that stand for a symbol.
    fn quoted(&mut self, quote: char) -> Result<String, BadLine> {
        let line = self.line;
        let unended = |lexer: &Self| lexer.bad(line, "the text does not end");
        self.take();
        let mut text = String::new();
        loop {
            let symbol = self.take().ok_or_else(|| unended(self))?;
            if symbol == quote {
                if !self.rest.starts_with(quote) {
                    return Ok(text);
                }
                self.take();
                text.push(quote);
            } else if symbol == '\\' && quote != '`' {
                text.push(match self.take().ok_or_else(|| unended(self))? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'b' => '\u{8}',
                    'Z' => '\u{1a}',
                    other => other,
                });
            } else {
                text.push(symbol);
            }
        }
    }

    fn take(&mut self) -> Option<char> {
        let mut symbols = self.rest.chars();
        let symbol = symbols.next()?;
        self.rest = symbols.as_str();
        self.line = self.line.saturating_add(u64::from(symbol == '\n'));
        Some(symbol)
    }

    fn bad(&self, line: u64, message: &str) -> BadLine {
        BadLine { line, field: String::new(), message: format!("is not a dump of MySQL: {message}") }
    }
}

fn is_word(symbol: char) -> bool {
    symbol.is_alphanumeric() || matches!(symbol, '_' | '$' | '.' | '-' | '+')
}

fn lines_in(text: &str) -> u64 {
    u64::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_their_columns_and_texts_stay_texts() {
        let dump = "-- a comment; VALUES (1)\n/*!40101 SET NAMES utf8 */;\nCREATE TABLE `t` (\n  `id` int(11) NOT NULL, `name` varchar(9) DEFAULT '(,', d decimal(5,2), PRIMARY KEY (`id`), KEY n (name)\n) ENGINE=InnoDB;\nINSERT INTO `t` VALUES (1,'it''s \\'x\\'; DROP TABLE t;',-2.50),\n(2,NULL,0x41),(3,'a\\nb',1e3);\nINSERT IGNORE INTO t (name, id) VALUES ('z', 9);\nINSERT INTO other VALUES (1);\n";
        let tables = tables(dump, &["t"]).unwrap();
        let rows = &tables["t"];
        let cell = |row: usize, column| rows[row].get(column);
        assert_eq!(
            (cell(0, "id"), cell(0, "name"), cell(0, "d")),
            (Some("1"), Some("it's 'x'; DROP TABLE t;"), Some("-2.50"))
        );
        assert_eq!((cell(1, "name"), cell(2, "name"), cell(3, "id")), (None, Some("a\nb"), Some("9")));
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [6, 7, 7, 8]);
        assert_eq!(tables.len(), 1);
    }

    #[test]
    fn what_is_no_dump_is_named_with_its_line() {
        for (broken, line) in [
            ("INSERT INTO t (a) VALUES ('x", 1),
            ("\nINSERT INTO t VALUES (1)", 2),
            ("/* never ends", 1),
            ("INSERT INTO t (a) VALUES (1,2);", 1),
            ("INSERT INTO t (a) VALUES (1", 1),
        ] {
            assert_eq!(tables(broken, &["t"]).unwrap_err().line, line, "{broken}");
        }
        for fine in ["", ";;;", "SELECT 1", "DROP TABLE t;", "CREATE TABLE", "CREATE TABLE t (", "\u{0}"] {
            assert_eq!(tables(fine, &["t"]), Ok(Tables::new()), "{fine}");
        }
    }
}
