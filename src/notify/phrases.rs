//! The words of our messages in the languages of the site, as Fluent files: ours in the program, and the
//! operator's over them.
//!
//! What is missing in a language is said in its wider form (`pt` for `pt-BR`), and then in English. The one
//! rule: facts are only ever put in; nothing in a fact is read as a template.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

use super::news::{News, Part};
use crate::domain::language::Language;
use crate::domain::message::Kind;

/// The words in every language; cheap to clone.
#[derive(Clone)]
pub struct Phrases(Arc<BTreeMap<Language, Vec<Bundle>>>);

type Bundle = Arc<FluentBundle<FluentResource>>;

/// One language's words, with those that stand in for what it lacks.
#[derive(Clone)]
pub struct Voice(Vec<Bundle>);

/// What stands in for the variables of a text.
pub(super) type Facts = Vec<(&'static str, String)>;

/// A file of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhraseFile {
    /// Its name, as `fr.ftl`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What is wrong with a file of words: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {problem}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct PhraseFault {
    /// Which file.
    pub file: String,
    /// Which line, from 1, where that is known.
    pub line: Option<usize>,
    /// What, and what to do.
    pub problem: String,
}

impl std::fmt::Debug for Phrases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Phrases {
    /// The words that are in the program.
    #[must_use]
    pub fn built_in() -> Self {
        let mut languages = BTreeMap::new();
        for (tag, text) in BUILT_IN {
            if let (Ok(language), Ok(bundle)) = (Language::parse(tag), bundle(tag, text)) {
                languages.insert(language, vec![bundle]);
            }
        }
        Self(Arc::new(languages))
    }

    /// The words in the program with the operator's over them.
    ///
    /// # Errors
    /// Everything that is wrong with the operator's files.
    pub fn with(files: &[PhraseFile]) -> Result<Self, Vec<PhraseFault>> {
        let mut languages = (*Self::built_in().0).clone();
        let mut faults = Vec::new();
        for file in files {
            match checked(file) {
                Ok((language, bundle)) => languages.entry(language).or_default().insert(0, bundle),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok(Self(Arc::new(languages))) } else { Err(faults) }
    }

    /// The languages that there are words in.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.0.keys()
    }

    /// Who speaks a language, with its wider form and English behind it.
    #[must_use]
    pub fn voice(&self, language: &Language) -> Voice {
        let wanted = [language.clone(), language.tongue(), Language::english()];
        let mut seen = BTreeSet::new();
        let chain = wanted.iter().filter(|one| seen.insert((*one).clone())).filter_map(|one| self.0.get(one));
        Voice(chain.flatten().cloned().collect())
    }
}

impl Voice {
    /// One text with the facts put in, in the first of the languages that has it whole.
    pub(super) fn say(&self, id: &str, part: Option<&str>, facts: &Facts) -> String {
        self.0
            .iter()
            .find_map(|bundle| said(bundle, id, part, facts).and_then(Result::ok))
            .unwrap_or_default()
    }
}

/// A text of one bundle; `None` where it has none.
fn said(
    bundle: &FluentBundle<FluentResource>,
    id: &str,
    part: Option<&str>,
    facts: &Facts,
) -> Option<Result<String, String>> {
    let message = bundle.get_message(id)?;
    let pattern = match part {
        Some(part) => message.get_attribute(part)?.value(),
        None => message.value()?,
    };
    let mut given = FluentArgs::with_capacity(facts.len());
    for (name, text) in facts {
        given.set(*name, FluentValue::String(text.as_str().into()));
    }
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(&given), &mut errors).into_owned();
    Some(match errors.first() {
        None => Ok(text),
        Some(error) => Err(error.to_string()),
    })
}

fn bundle(tag: &str, text: &str) -> Result<Bundle, String> {
    let resource = FluentResource::try_new(text.to_owned()).map_err(|(_, errors)| {
        errors.first().map_or_else(|| "it cannot be read".to_owned(), ToString::to_string)
    })?;
    let tag: LanguageIdentifier = tag.parse().map_err(|_| "its name is no language".to_owned())?;
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    // Marks around facts cost letters in an SMS; facts have no direction marks of their own (`news::clean`).
    bundle.set_use_isolating(false);
    bundle.add_resource(resource).map_err(|errors| {
        errors.first().map_or_else(|| "it cannot be used".to_owned(), ToString::to_string)
    })?;
    Ok(Arc::new(bundle))
}

/// A file of the operator, once nothing is wrong with it.
fn checked(file: &PhraseFile) -> Result<(Language, Bundle), Vec<PhraseFault>> {
    let fault = |line, problem: String| PhraseFault { file: file.name.clone(), line, problem };
    let tag = file.name.strip_suffix(".ftl").unwrap_or_default();
    let Ok(language) = Language::parse(tag) else {
        let problem = "the name is no language's; call it after the tag, as fr.ftl or pt-BR.ftl".to_owned();
        return Err(vec![fault(None, problem)]);
    };
    if file.text.len() > MAX_FILE_OCTETS {
        return Err(vec![fault(None, format!("it has more than {MAX_FILE_OCTETS} octets"))]);
    }
    let mut faults: Vec<_> =
        unknown(&file.text).into_iter().map(|(line, problem)| fault(Some(line), problem)).collect();
    let bundle = match bundle(language.as_str(), &file.text) {
        Ok(bundle) => bundle,
        Err(problem) => {
            faults.push(fault(None, problem));
            return Err(faults);
        }
    };
    let voice = Voice(vec![Arc::clone(&bundle)]);
    for (id, part, facts) in every_text(&voice) {
        if let Some(Err(problem)) = said(&bundle, id, part, &facts) {
            let place = part.map(|part| format!(".{part}")).unwrap_or_default();
            faults.push(fault(None, format!("{id}{place} cannot be written: {problem}")));
        }
    }
    if faults.is_empty() { Ok((language, bundle)) } else { Err(faults) }
}

/// Every text that we ask for, with facts to try it with.
fn every_text(voice: &Voice) -> Vec<(&'static str, Option<&'static str>, Facts)> {
    let mut texts: Vec<(&'static str, Option<&'static str>, Facts)> = FIGURES
        .iter()
        .map(|(id, facts)| (*id, None, facts.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()))
        .collect();
    for month in MONTHS {
        texts.push((
            "day",
            None,
            vec![("day", "1".into()), ("month", month.into()), ("year", "2026".into())],
        ));
    }
    for kind in Kind::ALL {
        let facts = News::sample(kind).facts(voice, &jiff::tz::TimeZone::UTC);
        let facts = facts.into_iter().chain([("site", "Lekki".to_owned()), ("link", "https://a".to_owned())]);
        let facts: Facts = facts.collect();
        texts.extend(Part::ALL.into_iter().map(|part| (kind.name(), Some(part.name()), facts.clone())));
    }
    texts
}

/// Lines that begin a message or a part that we never ask for, or one a second time. In a Fluent file a message
/// begins where a line does, and a part with a dot after the indent; no text line can.
fn unknown(text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let (mut message, mut seen) = ("", BTreeSet::new());
    for (at, line) in text.lines().enumerate() {
        let Some((name, _)) = line.split_once('=') else { continue };
        let name = name.trim_end();
        let part = name.trim_start().strip_prefix('.').filter(|_| name.starts_with([' ', '\t']));
        let is_message = line.starts_with(|first: char| first.is_ascii_alphabetic() || first == '-');
        if is_message {
            message = name;
            let known =
                Kind::parse(name).is_some() || FIGURES.iter().any(|(id, _)| *id == name) || name == "day";
            if !known {
                faults
                    .push((at + 1, format!("there is no message {name}; the built-in en.ftl has them all")));
            }
        } else if let Some(part) = part
            && (Kind::parse(message).is_none() || !Part::ALL.iter().any(|known| known.name() == part))
        {
            faults
                .push((at + 1, format!("{message} has no part .{part}; there are .subject, .mail and .sms")));
        }
        if (is_message || part.is_some()) && !seen.insert((message, part)) {
            faults.push((at + 1, "this is written a second time".to_owned()));
        }
    }
    faults
}

/// How figures are written, with facts to try each with. `day` has an entry a month.
const FIGURES: &[(&str, &[(&str, &str)])] = &[
    ("amount", &[("currency", "NGN"), ("figure", "17,500.00")]),
    ("thousands", &[]),
    ("decimal", &[]),
    ("moment", &[("date", "1 May 2026"), ("time", "14:00")]),
];

/// Names of months as templates know them.
pub(super) const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The languages in the program.
const BUILT_IN: &[(&str, &str)] = &[
    ("en", include_str!("languages/en.ftl")),
    ("fr", include_str!("languages/fr.ftl")),
    ("sw", include_str!("languages/sw.ftl")),
    ("ha", include_str!("languages/ha.ftl")),
    ("pt", include_str!("languages/pt.ftl")),
];

/// Ours have some ten thousand.
const MAX_FILE_OCTETS: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PhraseFile {
        PhraseFile { name: name.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn every_text_of_ours_is_well_and_english_has_them_all() {
        for (tag, text) in BUILT_IN {
            assert_eq!(unknown(text), [], "{tag}");
            let (_, bundle) = checked(&file(&format!("{tag}.ftl"), text)).unwrap();
            for (id, part, facts) in every_text(&Voice(vec![Arc::clone(&bundle)])) {
                match said(&bundle, id, part, &facts) {
                    Some(Ok(said)) => assert!(!said.is_empty() && !said.contains('{'), "{tag} {id} {part:?}"),
                    Some(Err(error)) => panic!("{tag} {id} {part:?}: {error}"),
                    None => assert_eq!(*tag, "ha", "{id} {part:?} is missing in {tag}"),
                }
            }
        }
    }

    #[test]
    fn what_an_operator_wrote_counts_and_what_they_left_out_is_ours() {
        let files = [
            file("en.ftl", "restored =\n    .subject = Welcome back\n"),
            file("yo.ftl", "restored =\n    .sms = E kaabo, { $plan }\n"),
        ];
        let phrases = Phrases::with(&files).unwrap();
        let facts: Facts = vec![("plan", "Home".into()), ("site", "Lekki".into())];
        let voice = |tag: &str| phrases.voice(&Language::parse(tag).unwrap());
        assert_eq!(voice("en").say("restored", Some("subject"), &facts), "Welcome back");
        assert!(voice("en").say("restored", Some("mail"), &facts).contains("Your service \"Home\" is back"));
        assert_eq!(voice("yo").say("restored", Some("sms"), &facts), "E kaabo, Home");
        assert_eq!(voice("yo").say("restored", Some("subject"), &facts), "Welcome back");
        assert_eq!(voice("pt-BR").say("restored", Some("subject"), &facts), "O seu serviço voltou");
        assert_eq!(voice("zz").say("restored", Some("subject"), &facts), "Welcome back");
    }

    #[test]
    fn a_file_with_what_is_not_known_here_is_refused_with_its_line() {
        let wrong = |name: &str, text: &str, part: &str| {
            let told = Phrases::with(&[file(name, text)]).unwrap_err();
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|line| line.contains(part)), "{part}: {told:?}");
        };
        wrong("en.ftl", "\nrestord =\n    .sms = a\n", "en.ftl:2: there is no message restord");
        wrong("en.ftl", "restored =\n    .text = a\n", "en.ftl:2: restored has no part .text");
        wrong("en.ftl", "restored =\n    .sms = { $pln }\n", "restored.sms cannot be written");
        wrong("en.ftl", "restored =\n    .sms = { SECRET($plan) }\n", "restored.sms cannot be written");
        wrong("en.ftl", "amount = 1\namount = 2\n", "a second time");
        wrong("en.ftl", "restored =\n    .sms = { $plan\n", "en.ftl");
        wrong("english.ftl", "", "no language");
        wrong("../en.ftl", "", "no language");
    }
}
