//! The portal's pages as a browser without script sees them: a stranger signs up, a subscriber logs in, and
//! whatever is wrong is said in words, escaped, and with what to do.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/portal_lab.rs"]
mod portal_lab;
mod support;

use portal_lab::{Browser, Certificate, Lab, NAME, Page};

const EMAIL: &str = "ada@example.net";
const PASSWORD: &str = "a long enough pass phrase";

fn form() -> Vec<(&'static str, &'static str)> {
    vec![
        ("plan", "free-day"),
        ("first_name", "Ada"),
        ("last_name", "Obi"),
        ("email", EMAIL),
        ("password", PASSWORD),
        ("phone", "+234 801 234 5678"),
        ("street", "1 Marina"),
        ("city", "Lagos"),
    ]
}

fn with<'f>(name: &str, value: &'f str) -> Vec<(&'static str, &'f str)> {
    form().into_iter().map(|(field, old)| (field, if field == name { value } else { old })).collect()
}

/// Signs up and confirms with the mailed code.
async fn join(lab: &Lab, browser: &mut Browser) -> Page {
    let page = browser.get("/signup?plan=free-day").await.expect(200);
    let sent = browser.submit(&page, "/signup", &form()).await;
    let waits = browser.follow(sent).await.expect(200);
    assert!(waits.body.contains("a•••@example.net"), "{}", waits.body);
    let code = lab.mail(EMAIL, 1).await.code();
    browser.submit(&waits, "/confirm", &[("code", &format!(" {} {} ", &code[..3], &code[3..]))]).await
}

#[tokio::test]
async fn a_stranger_signs_up_confirms_with_the_code_and_sees_their_account() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let plans = browser.get("/").await.expect(200);
    for words in
        ["Home 20", "17,500.00 NGN", "20 Mbit/s", "7.5 Mbit/s", "50 GB", "30 days", "5,000.00 NGN", "Log in"]
    {
        assert!(plans.body.contains(words), "{words}: {}", plans.body);
    }
    assert!(plans.body.contains("&#60;several&#62;") && !plans.body.contains("<several>"));
    let confirmed = join(&lab, &mut browser).await.expect(200);
    assert!(confirmed.body.contains("Your account is ready"), "{}", confirmed.body);
    assert!(browser.cookies.contains_key("customer_access_token"));
    let account = browser.get("/customer").await.expect(200);
    for words in ["Ada Obi", "Free day", "Active", "Sessions", "1 GB"] {
        assert!(account.body.contains(words), "{words}: {}", account.body);
    }
    let status = browser.get("/status").await.expect(200);
    assert!(status.body.contains("this device is not on this network"), "{}", status.body);
    let out = browser.submit(&status, "/logout", &[]).await;
    assert_eq!(out.header("location"), Some("/"));
    assert!(!browser.cookies.contains_key("customer_access_token"));
    assert!(browser.get("/customer").await.expect(200).body.contains("Log in to see your account"));
}

#[tokio::test]
async fn the_mailed_link_changes_nothing_until_its_page_is_answered() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup").await.expect(200);
    browser.submit(&page, "/signup", &form()).await.expect(303);
    let link = format!("/confirm/{}", lab.mail(EMAIL, 1).await.link().unwrap());
    // Another device, as where the mail is read.
    let mut other = lab.safe_browser();
    let asks = other.get(&link).await.expect(200);
    assert!(asks.body.contains("Yes, that is my address"), "{link} {}", asks.body);
    assert!(browser.get("/confirm").await.body.contains("Enter your code"), "opening it changed nothing");
    let done = other.submit(&asks, &link, &[]).await.expect(200);
    assert!(done.body.contains("Your account is ready"), "{}", done.body);
    assert!(!other.cookies.contains_key("customer_access_token"), "a link logs nobody in");
    assert!(other.get(&link).await.expect(200).body.contains("Already confirmed"));
    let wrong = other.get("/confirm/no-such-secret").await.expect(200);
    assert!(wrong.body.contains("This link does not count"));
}

#[tokio::test]
async fn a_signup_is_found_again_and_another_code_can_be_asked_for_only_when_it_is_due() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup").await;
    browser.submit(&page, "/signup", &form()).await.expect(303);
    let front = browser.get("/").await;
    assert_eq!((front.status, front.header("location")), (303, Some("/confirm")));
    let waits = browser.get("/confirm").await.expect(200);
    assert!(waits.body.contains("another code in") && waits.body.contains("On a phone"));
    let early = browser.submit(&waits, "/confirm", &[("do", "resend")]).await.expect(429);
    assert!(early.body.contains("Please wait"), "{}", early.body);
    for left in (0..5).rev() {
        let wrong = browser.submit(&waits, "/confirm", &[("code", "000000")]).await.expect(422);
        assert!(wrong.body.contains("aria-invalid=\"true\"") && wrong.body.contains("role=\"alert\""));
        if left > 1 {
            assert!(wrong.body.contains(&format!("{left} tries are left")), "{}", wrong.body);
        }
    }
    let none = browser.submit(&waits, "/confirm", &[("code", "000000")]).await.expect(422);
    assert!(none.body.contains("Too many wrong codes"), "{}", none.body);
    let stranger = lab.safe_browser().get("/confirm").await.expect(200);
    assert!(stranger.body.contains("Nothing to confirm"));
}

#[tokio::test]
async fn a_subscriber_logs_in_with_a_wrong_password_first_and_is_told_when_to_try_again() {
    let lab = Lab::open(Certificate::Configured).await;
    join(&lab, &mut lab.safe_browser()).await.expect(200);
    let mut browser = lab.safe_browser();
    let page = browser.get("/login").await.expect(200);
    let wrong =
        browser.submit(&page, "/login", &[("login", EMAIL), ("password", "not it at all")]).await.expect(422);
    assert!(wrong.body.contains("Login or password is not right") && wrong.body.contains(EMAIL));
    assert!(!wrong.body.contains("not it at all"), "a password is never sent back");
    let unknown =
        browser.submit(&wrong, "/login", &[("login", "nobody"), ("password", "not it")]).await.expect(422);
    assert!(unknown.body.contains("Login or password is not right"), "unknown and wrong look alike");
    let empty = browser.submit(&wrong, "/login", &[("login", ""), ("password", "")]).await.expect(422);
    assert!(empty.body.contains("Please fill in both fields"));
    let right =
        browser.submit(&wrong, "/login", &[("login", " Ada@Example.net "), ("password", PASSWORD)]).await;
    let cookies: Vec<_> = right.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    let visit = cookies.iter().find(|(_, set)| set.starts_with("customer_access_token=")).unwrap();
    for rule in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(visit.1.contains(rule), "{rule}: {}", visit.1);
    }
    let success = browser.follow(right).await.expect(200);
    assert!(success.body.contains("this device is not on this network"), "{}", success.body);
    let mut last = 0;
    for _ in 0..40 {
        let tried =
            browser.submit(&wrong, "/login", &[("login", "guess@example.net"), ("password", "x")]).await;
        last = tried.status;
        if last == 429 {
            assert!(tried.body.contains("Please wait") && tried.header("retry-after").is_some());
            break;
        }
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn every_wrong_field_is_named_beside_it_and_in_a_summary() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup?plan=home-20").await.expect(200);
    assert!(page.body.contains("value=\"home-20\" selected"), "{}", page.body);
    let fields = [
        ("email", "ada"),
        ("first_name", ""),
        ("last_name", "x"),
        ("phone", "call me"),
        ("password", ""),
        ("plan", "free-day"),
    ];
    let wrong = browser.submit(&page, "/signup", &fields).await.expect(422);
    for field in ["email", "first_name", "phone", "password"] {
        assert!(wrong.body.contains(&format!("href=\"#{field}\"")), "{field}: {}", wrong.body);
        assert!(wrong.body.contains(&format!("id=\"{field}-fault\"")), "{field}");
        assert!(wrong.body.contains(&format!("aria-describedby=\"{field}-fault")), "{field}");
    }
    assert!(
        wrong.body.contains("<title>Error: Sign up") && wrong.body.contains("value=\"free-day\" selected")
    );
    let weak = browser.submit(&page, "/signup", &with("password", "password")).await.expect(422);
    assert!(weak.body.contains("among the most common"), "{}", weak.body);
    let gone = browser.submit(&page, "/signup", &with("plan", "no-such-plan")).await.expect(422);
    assert!(gone.body.contains("not sold any more"));
}

#[tokio::test]
async fn nothing_that_is_typed_leaves_its_place_in_the_page() {
    let lab = Lab::open(Certificate::Configured).await;
    lab.put_plan("x", "\"><script>alert(1)</script>", 1, None).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup?plan=%22%3E%3Cscript%3E").await.expect(200);
    let hostile = "\"><script>alert(1)</script>' onfocus=x {{7*7}}";
    let wrong = browser
        .submit(&page, "/signup", &[("first_name", hostile), ("email", hostile), ("plan", hostile)])
        .await;
    for page in [&page, &wrong, &browser.get("/plans").await] {
        assert!(!page.body.contains("<script"), "{}", page.body);
    }
    let login = browser.get("/login").await;
    let tried = browser.submit(&login, "/login", &[("login", hostile), ("password", "x")]).await;
    assert!(!tried.body.contains("<script") && tried.body.contains("&#60;script&#62;"), "{}", tried.body);
}

#[tokio::test]
async fn a_form_counts_only_from_our_own_page_of_this_browser() {
    let lab = Lab::open(Certificate::Configured).await;
    let fields = [("login", EMAIL), ("password", PASSWORD)];
    let mut browser = lab.safe_browser();
    let page = browser.get("/login").await;
    browser.post("/login", &fields).await.expect(403);
    let mut other = lab.safe_browser();
    other.get("/login").await;
    other.submit(&page, "/login", &fields).await.expect(403);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        browser.headers = vec![(name.into(), value.into())];
        browser.submit(&page, "/login", &fields).await.expect(403);
    }
    browser.headers =
        vec![("Origin".into(), format!("https://{NAME}")), ("Sec-Fetch-Site".into(), "same-origin".into())];
    browser.submit(&page, "/login", &fields).await.expect(422);
    browser.headers.clear();
    let long = "x".repeat(20_000);
    browser.submit(&page, "/login", &[("login", &long)]).await.expect(400);
    let get = browser.get("/logout").await;
    assert_eq!(get.status, 405, "nothing is changed by a GET");
}

#[tokio::test]
async fn pages_have_no_script_one_style_a_strict_policy_and_are_small() {
    let lab = Lab::open(Certificate::Configured).await;
    for number in 0..30 {
        lab.put_plan(&format!("plan-{number}"), &"Long name of a plan ".repeat(5), 1_750_000, None).await;
    }
    let mut browser = lab.safe_browser();
    for path in
        ["/", "/plans", "/signup", "/login", "/confirm", "/success", "/status", "/customer", "/nowhere"]
    {
        let page = browser.get(path).await;
        if page.status == 303 {
            continue;
        }
        let policy = page.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "style-src 'sha256-",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(page.body.len() < 30_000, "{path} has {} octets", page.body.len());
        let small = page.body.to_lowercase();
        for never in
            ["<script", "javascript:", " style=", " onclick", "http://", "https://", "@import", "url("]
        {
            assert!(!small.contains(never), "{path} has {never}");
        }
        assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("width=device-width"));
        assert_eq!(page.body.matches("<h1>").count(), 1, "{path}");
    }
}

#[tokio::test]
async fn an_operating_system_learns_that_its_device_is_captive_and_a_person_gets_the_pages() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    browser.headers = vec![("Accept".into(), "text/html;q=0.9, application/captive+json;q=0.8".into())];
    let answer = browser.get("/capport/api").await.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/captive+json"));
    assert_eq!(answer.header("vary"), Some("Accept"));
    assert!(answer.header("cache-control").unwrap().contains("private"));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["captive"], true);
    assert_eq!(body["user-portal-url"], format!("https://{NAME}/"));
    assert_eq!(body["can-extend-session"], false);
    for accept in ["*/*", "text/html", "application/captive+json;q=0"] {
        browser.headers = vec![("Accept".into(), accept.into())];
        let page = browser.get("/capport/api").await.expect(303);
        assert_eq!(page.header("location"), Some("/"), "{accept}");
    }
    browser.headers = vec![("Accept".into(), "application/captive+json".into())];
    let mut refused = 0;
    for _ in 0..40 {
        let answer = browser.get("/capport/api").await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    assert!(refused > 0, "asking without end is bounded");
}

#[tokio::test]
async fn without_a_certificate_that_phones_know_the_plain_pages_work_and_set_no_secure_cookie() {
    let lab = Lab::open(Certificate::MadeHere).await;
    let mut browser = lab.browser();
    let page = browser.get("/login").await.expect(200);
    let set = page.header("set-cookie").unwrap();
    assert!(set.starts_with("portal_browser=") && !set.contains("Secure"), "{set}");
    browser.submit(&page, "/login", &[("login", EMAIL), ("password", "x")]).await.expect(422);
    lab.safe_browser().get("/login").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_not_guessed_by_many_connections_and_the_portal_answers_others_meanwhile() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup").await.expect(200);
    let sent = browser.submit(&page, "/signup", &form()).await.expect(303);
    let waits = browser.follow(sent).await.expect(200);
    lab.mail(EMAIL, 1).await;
    let code = lab.mail(EMAIL, 1).await.code();
    let guesses: Vec<_> = (0..24)
        .map(|number| {
            let (mut browser, waits) = (browser.clone(), waits.clone());
            let guess = format!("{:06}", number * 7919);
            assert_ne!(guess, code);
            tokio::spawn(async move { browser.submit(&waits, "/confirm", &[("code", &guess)]).await.body })
        })
        .collect();
    lab.safe_browser().get("/plans").await.expect(200);
    let mut counted = 0;
    for guess in guesses {
        let body = guess.await.unwrap();
        counted += usize::from(body.contains("That is not the code"));
    }
    assert_eq!(counted, 5, "so many were looked at, however many came");
    let late = browser.submit(&waits, "/confirm", &[("code", &code)]).await.expect(422);
    assert!(late.body.contains("Too many wrong codes"), "not even the right one counts now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_tap_on_the_signup_form_leads_to_one_signup_and_one_mail() {
    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup").await.expect(200);
    let (mut one, mut other, filled) = (browser.clone(), browser.clone(), form());
    let (first, second) =
        tokio::join!(one.submit(&page, "/signup", &filled), other.submit(&page, "/signup", &filled));
    let (first, second) = (one.follow(first).await.expect(200), other.follow(second).await.expect(200));
    assert!(first.body.contains("one-time-code") && second.body.contains("one-time-code"));
    let code = lab.mail(EMAIL, 1).await.code();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(lab.mails_to(EMAIL), 1);
    let confirmed = browser.submit(&first, "/confirm", &[("code", &code)]).await;
    assert!(confirmed.status < 400, "{}", confirmed.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_guesses_at_an_account_does_not_lock_its_owner_out_of_their_own_browser() {
    let lab = Lab::open(Certificate::Configured).await;
    join(&lab, &mut lab.safe_browser()).await.expect(200);
    let mut own = lab.safe_browser();
    let page = own.get("/login").await.expect(200);
    let right = [("login", EMAIL), ("password", PASSWORD)];
    own.submit(&page, "/login", &right).await.expect(303);

    let mut eve = lab.safe_browser();
    let theirs = eve.get("/login").await.expect(200);
    let mut statuses = Vec::new();
    for number in 0..8 {
        let guess = format!("guess number {number}");
        let tried = [("login", EMAIL), ("password", guess.as_str())];
        statuses.push(eve.submit(&theirs, "/login", &tried).await.status);
    }
    assert_eq!(statuses, [422, 422, 422, 422, 422, 429, 429, 429]);
    let right_too_late = eve.submit(&theirs, "/login", &right).await;
    assert_eq!(right_too_late.status, 429, "a guesser does not learn that a guess was right");
    own.submit(&page, "/login", &right).await.expect(303);
}

#[tokio::test]
async fn a_closed_account_has_no_cookie_and_no_token_that_counts() {
    use dotmac_edge::domain::subscriber::Standing;
    use dotmac_edge::store::contract::{Page, Range, Unit};
    use dotmac_edge::store::tables::Subscribers;

    let lab = Lab::open(Certificate::Configured).await;
    let mut browser = lab.safe_browser();
    join(&lab, &mut browser).await.expect(200);
    assert!(browser.get("/customer").await.expect(200).body.contains("Your account"));
    assert!(browser.get("/api/v1/customer/profile").await.expect(200).body.contains(EMAIL));
    let held = lab.store.scan::<Subscribers>(Range::All, Page::first(1)).await.unwrap().records.remove(0);
    let mut closed = held.body;
    closed.standing = Standing::Closed;
    let unit = Unit::natural().replace::<Subscribers>(&closed.id, held.version, &closed).unwrap();
    lab.store.commit(unit).await.unwrap();
    assert!(browser.get("/customer").await.expect(200).body.contains("Log in to see your account"));
    browser.get("/api/v1/customer/profile").await.expect(401);
    let page = browser.get("/login").await.expect(200);
    browser.submit(&page, "/login", &[("login", EMAIL), ("password", PASSWORD)]).await.expect(422);
}
