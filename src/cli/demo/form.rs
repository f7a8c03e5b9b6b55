//! The forms of a page, as a browser sees them: where they go, and the fields with what is in them.
//! Enough of HTML for pages that are well formed, and no more.

/// A form of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it is sent to; empty: to the page itself.
    pub(super) action: String,
    fields: Vec<(String, String)>,
    /// The buttons that have something to say.
    buttons: Vec<(String, String)>,
}

impl Form {
    /// The first form of the page that has a field of this name.
    pub(super) fn with(page: &str, field: &str) -> Option<Self> {
        forms(page).into_iter().find(|form| form.fields.iter().any(|(name, _)| name == field))
    }

    /// The first form of the page with this button, which is pressed.
    pub(super) fn pressed(page: &str, name: &str, value: &str) -> Option<Self> {
        let button = (name.to_owned(), value.to_owned());
        let mut form = forms(page).into_iter().find(|form| form.buttons.contains(&button))?;
        form.fields.push(button);
        Some(form)
    }

    /// Writes into a field, as a person does; one that the page does not have is left alone.
    pub(super) fn write(&mut self, field: &str, text: &str) {
        if let Some((_, value)) = self.fields.iter_mut().find(|(name, _)| name == field) {
            text.clone_into(value);
        }
    }

    /// Arguments for curl that send it, and where to.
    pub(super) fn arguments(&self, page_url: &str) -> Vec<String> {
        let send =
            |(name, value): &(String, String)| ["--data-urlencode".to_owned(), format!("{name}={value}")];
        let mut arguments: Vec<String> = self.fields.iter().flat_map(send).collect();
        let origin: String = page_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        // As a browser says on its own: from which page.
        arguments.extend([
            "-H".to_owned(),
            format!("Origin: {origin}"),
            "-e".to_owned(),
            page_url.to_owned(),
        ]);
        arguments.push(absolute(page_url, &self.action));
        arguments
    }
}

/// Where a link or a redirect leads that stood on a page.
pub(super) fn absolute(page_url: &str, link: &str) -> String {
    let origin: String = page_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    match link {
        "" => page_url.to_owned(),
        path if path.starts_with('/') => format!("{origin}{path}"),
        whole => whole.to_owned(),
    }
}

fn forms(page: &str) -> Vec<Form> {
    let mut found = Vec::new();
    let mut current: Option<Form> = None;
    let mut select = None;
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag)) {
        let name = tag.split_whitespace().next().unwrap_or_default();
        let attribute = |wanted: &str| attribute(tag, wanted).unwrap_or_default();
        match (name, &mut current) {
            ("form", _) => {
                current = Some(Form { action: attribute("action"), fields: Vec::new(), buttons: Vec::new() })
            }
            ("/form", Some(_)) => found.extend(current.take()),
            ("input" | "textarea", Some(form)) if !attribute("name").is_empty() => {
                form.fields.push((attribute("name"), attribute("value")));
            }
            ("button", Some(form)) if !attribute("name").is_empty() => {
                form.buttons.push((attribute("name"), attribute("value")));
            }
            ("select", Some(form)) => {
                select = Some(form.fields.len());
                form.fields.push((attribute("name"), String::new()));
            }
            ("/select", _) => select = None,
            ("option", Some(form)) => {
                let field = select.and_then(|at| form.fields.get_mut(at));
                if let Some((_, value)) = field
                    && (value.is_empty() || tag.ends_with(" selected"))
                {
                    *value = attribute("value");
                }
            }
            _ => {}
        }
    }
    found
}

/// The value of an attribute in a tag's text, without its escapes.
fn attribute(tag: &str, wanted: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {wanted}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(unescaped(value))
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let escape = after.split_once(';').and_then(|(name, after)| Some((symbol(name)?, after)));
        rest = if let Some((symbol, after)) = escape {
            out.push(symbol);
            after
        } else {
            out.push('&');
            after
        };
    }
    out + rest
}

fn symbol(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        number => {
            let number = number.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix('x').map(|digits| u32::from_str_radix(digits, 16).ok());
            char::from_u32(hexadecimal.unwrap_or_else(|| number.parse().ok())?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<form action=\"/search\"><input name=\"q\"></form>\n<form method=\"post\" action=\"/signup\">\
        <input type=\"hidden\" name=\"form_token\" value=\"a&#38;b&amp;&#x3d;&bogus\">\
        <input id=\"email\" name=\"email\" type=\"email\" value=\"\" required>\
        <select name=\"plan\"><option value=\"one\">1</option><option value=\"two\" selected>2</option></select>\
        <button type=\"submit\">Go</button></form>\
        <form method=\"post\" action=\"/pay\"><input name=\"form_token\" value=\"x\">\
        <button name=\"what\" value=\"period\">Renew</button><button name=\"what\" value=\"wallet\">Add</button></form>";

    #[test]
    fn a_form_is_sent_with_what_the_page_put_in_and_what_a_person_wrote() {
        let mut form = Form::with(PAGE, "email").unwrap();
        form.write("email", "ada.obi@example.net");
        form.write("not there", "x");
        let told = form.arguments("https://portal.example/signup?plan=two").join(" ");
        assert!(
            told.contains(
                "--data-urlencode form_token=a&b&=&bogus --data-urlencode email=ada.obi@example.net"
            )
        );
        assert!(told.contains("plan=two -H Origin: https://portal.example -e "), "{told}");
        assert!(told.ends_with(" https://portal.example/signup"), "{told}");
        assert_eq!(Form::with(PAGE, "code"), None);
    }

    #[test]
    fn only_the_button_that_is_pressed_is_sent() {
        let form = Form::pressed(PAGE, "what", "wallet").unwrap();
        let told = form.arguments("https://portal.example/pay").join(" ");
        assert!(told.starts_with("--data-urlencode form_token=x --data-urlencode what=wallet -H "), "{told}");
        assert_eq!(Form::pressed(PAGE, "what", "plan"), None);
    }

    #[test]
    fn links_are_followed_from_where_they_stood() {
        assert_eq!(absolute("http://a/b?c", "/d"), "http://a/d");
        assert_eq!(absolute("http://a/b?c", ""), "http://a/b?c");
        assert_eq!(absolute("http://a/b?c", "https://e/f"), "https://e/f");
    }
}
