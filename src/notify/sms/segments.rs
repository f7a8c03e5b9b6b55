//! How a text becomes an SMS: letters of the GSM alphabet where that can be, parts of 140 octets, and a bound on
//! how many (3GPP TS 23.038 section 6.2.1 for the alphabet, TS 23.040 section 9.2.3.24 for parts).
//!
//! One letter outside of the alphabet makes every part hold 67 letters instead of 153, so accents that it lacks
//! are left off. The one rule: what is sent costs no more than [`MOST`] parts.

/// A text that fits, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The text.
    pub text: String,
    /// Parts.
    pub segments: u32,
}

/// A text as it is sent.
#[must_use]
pub fn fit(text: &str) -> Fitted {
    let text: String = text.trim().chars().map(plainer).collect();
    let segments = count(&text);
    if segments <= MOST {
        return Fitted { text, segments };
    }
    let mut letters: Vec<char> = text.chars().take(LONGEST).collect();
    loop {
        letters.pop();
        let cut: String = letters.iter().chain(&['.', '.', '.']).collect();
        let segments = count(&cut);
        if segments <= MOST || letters.is_empty() {
            return Fitted { text: cut, segments };
        }
    }
}

/// Parts that a text needs. No letter is split between two.
#[must_use]
pub fn count(text: &str) -> u32 {
    let (cost, whole, part): (fn(char) -> usize, _, _) = if text.chars().all(|c| gsm(c).is_some()) {
        (|c| gsm(c).unwrap_or(1), 160, 153)
    } else {
        (char::len_utf16, 70, 67)
    };
    if text.chars().map(cost).sum::<usize>() <= whole {
        return 1;
    }
    let (mut parts, mut left) = (1u32, part);
    for letter in text.chars() {
        let cost = cost(letter);
        if cost > left {
            parts = parts.saturating_add(1);
            left = part;
        }
        left = left.saturating_sub(cost);
    }
    parts
}

/// What a letter costs in the GSM alphabet; `None` outside of it.
fn gsm(letter: char) -> Option<usize> {
    if letter.is_ascii_alphanumeric() || BASIC.contains(letter) {
        Some(1)
    } else if EXTENDED.contains(letter) {
        Some(2)
    } else {
        None
    }
}

/// The nearest letter of the alphabet, for those that people leave the accent off themselves.
const fn plainer(letter: char) -> char {
    match letter {
        'á' | 'â' | 'ã' | 'ā' | 'ă' => 'a',
        'Á' | 'À' | 'Â' | 'Ã' => 'A',
        'ç' => 'c',
        'ê' | 'ë' | 'ē' | 'ẹ' => 'e',
        'È' | 'Ê' | 'Ë' | 'Ẹ' => 'E',
        'í' | 'î' | 'ï' | 'ị' => 'i',
        'Í' | 'Ì' | 'Î' | 'Ï' => 'I',
        'ó' | 'ô' | 'õ' | 'ọ' => 'o',
        'Ó' | 'Ò' | 'Ô' | 'Õ' | 'Ọ' => 'O',
        'ú' | 'û' | 'ụ' => 'u',
        'Ú' | 'Ù' | 'Û' => 'U',
        'ɓ' => 'b',
        'Ɓ' => 'B',
        'ɗ' => 'd',
        'Ɗ' => 'D',
        'ƙ' => 'k',
        'Ƙ' => 'K',
        'ƴ' => 'y',
        'ṣ' => 's',
        'Ṣ' => 'S',
        '‘' | '’' | 'ʼ' | '`' => '\'',
        '“' | '”' | '«' | '»' => '"',
        '–' | '—' | '‐' | '‑' => '-',
        '\u{00A0}' | '\u{202F}' | '\u{2009}' | '\t' => ' ',
        letter => letter,
    }
}

/// The basic table beside letters and digits, without its escape.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// The extension table: two places each.
const EXTENDED: &str = "^{}\\[~]|€\u{000C}";
/// Parts a message may have: four carry every text of ours with facts of usual length in any alphabet.
pub const MOST: u32 = 4;
/// Letters of which none would be left after the parts that a message may have.
const LONGEST: usize = 640;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_costs_what_a_carrier_bills() {
        assert_eq!((count(&"a".repeat(160)), count(&"a".repeat(161)), count(&"a".repeat(306))), (1, 2, 2));
        assert_eq!((count(&"€".repeat(80)), count(&"€".repeat(81))), (1, 2));
        assert_eq!((count(&"ж".repeat(70)), count(&"ж".repeat(71)), count(&"ж".repeat(135))), (1, 2, 3));
        assert_eq!((count(&"😀".repeat(35)), count(&"😀".repeat(36))), (1, 2));
        // A letter of two places is not split: 76 fit into 153 places, and one is left empty.
        assert_eq!(count(&"€".repeat(153)), 3);
    }

    #[test]
    fn accents_that_make_an_sms_dearer_are_left_off() {
        let fitted = fit("Sabis ɗinka, você não está “só” – açaí");
        assert_eq!(fitted.text, "Sabis dinka, voce nao esta \"so\" - acai");
        assert_eq!(fit("déjà reçu à 8 h").text, "déjà recu à 8 h");
    }

    #[test]
    fn nothing_costs_more_than_the_bound() {
        for letter in ["a", "€", "ж", "😀", "\u{202E}"] {
            let fitted = fit(&letter.repeat(5_000));
            assert!(fitted.segments <= MOST && fitted.text.ends_with("..."), "{letter}");
            assert_eq!(count(&fitted.text), fitted.segments);
        }
        assert_eq!(fit("").segments, 1);
    }
}
