//! Reads Rust source just well enough to see what it names: paths, crates, words. Comments, texts and
//! test code are taken out first, so that a word in a sentence is not mistaken for code.

/// One piece of code: a word, or one symbol (`::` counts as one).
pub(crate) type Token = String;

/// The tokens of `source` that ship: no comments, no literals, nothing under `#[cfg(test)]`.
pub(crate) fn production_tokens(source: &str) -> Vec<Token> {
    without_tests(&tokens(source))
}

/// Lines of `source` before its inline tests.
pub(crate) fn production_lines(source: &str) -> usize {
    source.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}

/// Every path of `tokens` in full: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let continues = at > 0 && matches!(tokens[at - 1].as_str(), "::" | ".");
        let begins = is_word(token) && !continues;
        // A group in the middle of a `use` is read with what stands before it.
        let leads = tokens.get(at + 1).is_some_and(|next| next == "::");
        let used = at > 0 && tokens[at - 1] == "use";
        if begins && (leads || used) {
            tree(tokens, at, &[], &mut found);
        }
    }
    found
}

/// Reads the path or group at `at` below `prefix`; returns where it ends.
fn tree(tokens: &[Token], at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = at;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if path.len() > prefix.len() || !prefix.is_empty() => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let end = tree(tokens, at, &path, found);
                    at = end.max(at + 1);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if is_word(word) || word == "*" => path.push(word.to_owned()),
            _ => {
                found.push(path);
                return at;
            }
        }
        at += 1;
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            // `a as b` ends the path; the new name is not a path.
            Some("as") => {
                found.push(path);
                return at + 2;
            }
            _ => {
                found.push(path);
                return at;
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let here: Vec<&str> = tokens[at..].iter().take(7).map(String::as_str).collect();
        if here == ["#", "[", "cfg", "(", "test", ")", "]"] {
            at = item_end(tokens, at + 7);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item that begins at `at` ends: behind its `;`, or behind its braces.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.as_str() {
            ";" if depth == 0 => return at,
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    at
}

fn tokens(source: &str) -> Vec<Token> {
    let symbols: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < symbols.len() {
        let rest = &symbols[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().take_while(|symbol| **symbol != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_text(rest) > 0 => raw_text(rest),
            ['b', '"', ..] => 1 + text(&rest[1..], '"'),
            ['"', ..] => text(rest, '"'),
            ['b', '\'', ..] => 1 + text(&rest[1..], '\''),
            ['\'', '\\', ..] => text(rest, '\''),
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push("::".to_owned());
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let word: String =
                    rest.iter().take_while(|symbol| symbol.is_alphanumeric() || **symbol == '_').collect();
                let length = word.chars().count();
                tokens.push(word);
                length
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    tokens.push(first.to_string());
                }
                1
            }
            [] => 1,
        };
    }
    tokens
}

fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// Length of the literal that begins and ends with `quote`.
fn text(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            symbol if symbol == quote => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Length of the raw text at the beginning of `rest`; 0 where there is none.
fn raw_text(rest: &[char]) -> usize {
    let prefix = rest.iter().take_while(|symbol| matches!(symbol, 'b' | 'r')).count();
    let hashes = rest[prefix..].iter().take_while(|symbol| **symbol == '#').count();
    if rest.get(prefix + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = prefix + hashes + 1;
    while at < rest.len() {
        let closes = rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|symbol| **symbol == '#').count() == hashes;
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}
