//! What is printed says what the records say, to the last minor unit, whatever people are called; and other
//! programs read it: poppler its text, qpdf its structure, zbar its codes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use dotmac_edge::domain::dunning::Done;
use dotmac_edge::domain::ids::{InvoiceId, PaymentId, SubscriberId};
use dotmac_edge::domain::invoice::{DocumentKind, Invoice, InvoiceStanding, LineSubject, Party};
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::payment::{Method, Payment, PaymentStatus, ProviderName, Refund, RefundStatus};
use dotmac_edge::domain::subscriber::Address;
use dotmac_edge::domain::tax::{Discount, Item, Quote, TaxRounding, TaxTreatment, quote};
use dotmac_edge::paper::{
    self, PaperError, PaperSettings, ReceiptFacts, SheetCode, SheetLayout, Statement, StatementLine, Wifi,
    html,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

/// A name that tries to be markup, a formula, a PDF string, another direction and a script that the font lacks.
const HOSTILE: &str = "<script>alert(1)</script> =1+2 (\\) %% \u{202e}detrevni 中 Ọ̀ṣun & Ɗan \"Kƙ\"";

fn settings() -> PaperSettings {
    PaperSettings {
        zone: TimeZone::get("Africa/Lagos").unwrap(),
        portal: Some("https://portal.example.net".to_owned()),
    }
}

fn ngn(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn party(name: &str) -> Party {
    Party {
        name: name.to_owned(),
        number: "C-1001".to_owned(),
        email: "ada@example.net".to_owned(),
        phone: "+2348012345678".to_owned(),
        address: Address {
            street: "12 Admiralty Way".to_owned(),
            city: "Lekki".to_owned(),
            state: "Lagos".to_owned(),
            ..Address::default()
        },
    }
}

fn item(description: &str, minor: i64, treatment: TaxTreatment, tax_ppm: u32) -> Item {
    Item { description: description.to_owned(), amount: ngn(minor), treatment, tax_ppm }
}

fn invoice_of(quote: Quote, customer: &str) -> Invoice {
    let subjects = quote.lines.iter().map(|_| LineSubject {
        service_id: None,
        from: Some(at("2026-11-30T23:00:00Z")),
        until: Some(at("2026-12-31T23:00:00Z")),
    });
    Invoice {
        id: InvoiceId(Uuid::from_u128(7)),
        kind: DocumentKind::Invoice,
        number: Some("LEKKI1-2026-000001".to_owned()),
        subscriber_id: SubscriberId(Uuid::from_u128(8)),
        customer: party(customer),
        seller: party("Lekki POP 1"),
        subjects: subjects.collect(),
        quote,
        order_id: None,
        corrects: None,
        note: Some("Thank you – ẹ ṣé gan-an.".to_owned()),
        created_at: at("2026-11-26T10:00:00Z"),
        issued_at: Some(at("2026-11-26T23:30:00Z")),
        due_at: Some(at("2026-12-10T23:00:00Z")),
    }
}

fn standing(invoice: &Invoice, paid: i64) -> InvoiceStanding {
    InvoiceStanding {
        invoice_id: invoice.id,
        subscriber_id: invoice.subscriber_id,
        total: invoice.quote.total,
        paid,
        credited: 0,
        written_off: 0,
        is_void: false,
        issued_at: at("2026-11-26T23:30:00Z"),
        due_at: at("2026-12-10T23:00:00Z"),
        cleared_at: None,
        services: Vec::new(),
        dunned: Done::default(),
        held_until: None,
        next_dunning_at: None,
    }
}

fn some_items() -> Vec<Item> {
    vec![
        item("Home 20 – December 2026", 1_750_000, TaxTreatment::Exclusive, 75_000),
        item("Static address", 99_999, TaxTreatment::Inclusive, 75_000),
        item("Router, second hand", 1_234_567, TaxTreatment::Exempt, 0),
        item("Roaming in Kenya", 100, TaxTreatment::Exclusive, 160_000),
        item("Credit for Home 10", -666_667, TaxTreatment::Exclusive, 75_000),
    ]
}

/// What a program prints about a file; it must agree with the file.
fn told(program: &str, arguments: &[&str], file: &Path) -> String {
    let file = file.to_str().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(|one| if *one == "FILE" { file } else { one }).collect();
    let output = Command::new(program).args(&arguments).output().unwrap_or_else(|error| {
        panic!("{program} is needed ({error}); .ci/deps names the package");
    });
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {said} {}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The octets in a file. With `DOTMAC_EDGE_KEEP_PAPER` set to a folder, they stay there for a person to look at.
fn kept(name: &str, octets: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(octets).unwrap();
    if let Some(keep) = std::env::var_os("DOTMAC_EDGE_KEEP_PAPER") {
        std::fs::copy(&path, Path::new(&keep).join(name)).unwrap();
    }
    (folder, path)
}

/// The text of a PDF that qpdf finds nothing wrong with, as poppler reads it line by line.
fn text_of(name: &str, pdf: &[u8]) -> String {
    let (_folder, path) = kept(name, pdf);
    told("qpdf", &["--check", "FILE"], &path);
    told("pdftotext", &["-layout", "FILE", "-"], &path)
}

/// Words in order, however they are laid out.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a camera would read on each page.
fn scanned(name: &str, pdf: &[u8]) -> Vec<String> {
    let (folder, path) = kept(name, pdf);
    let prefix = folder.path().join("page");
    told("pdftoppm", &["-r", "150", "-png", "FILE", prefix.to_str().unwrap()], &path);
    let mut images: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "png"))
        .collect();
    images.sort();
    let read = images.iter().flat_map(|image| {
        let said = told("zbarimg", &["--quiet", "--raw", "FILE"], image);
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    read.collect()
}

#[test]
fn an_invoice_on_paper_has_the_numbers_of_its_quote_and_no_other() {
    let quote = quote(some_items(), &[Discount::Percent(50_000)], TaxRounding::Invoice).unwrap();
    let invoice = invoice_of(quote, "Ada Obi");
    let standing = standing(&invoice, 500_000);
    let pdf = paper::invoice_pdf(&invoice, Some(&standing), &settings()).unwrap();
    let text = text_of("invoice.pdf", &pdf);

    // Every line of the table ends in net, rate, tax and total, in this order.
    for line in &invoice.quote.lines {
        let amounts = [line.net, line.tax, line.total].map(|money| money.grouped());
        let row = text.lines().find(|row| row.contains(&line.description)).unwrap();
        let row = squeezed(row);
        assert!(
            row.contains(&amounts[0]) && row.ends_with(&format!("{} {}", amounts[1], amounts[2])),
            "{row}"
        );
    }
    let said = squeezed(&text);
    let quote = &invoice.quote;
    for tax in &quote.taxes {
        assert!(said.contains(&format!("on {} {}", tax.base.grouped(), tax.tax.grouped())), "{said}");
    }
    for wanted in [
        format!("Net {}", quote.net.grouped()),
        format!("Discounts, taken off above {}", quote.discount.grouped()),
        format!("Total NGN {}", quote.total.grouped()),
        "Paid -5,000.00".to_owned(),
        format!("Due NGN {}", ngn(standing.owed()).grouped()),
        "LEKKI1-2026-000001".to_owned(),
        "Issued 27 Nov 2026".to_owned(),
        "Due 11 Dec 2026".to_owned(),
        "1 Dec 2026 to 1 Jan 2027".to_owned(),
        "ẹ ṣé gan-an".to_owned(),
    ] {
        assert!(said.contains(&wanted), "{wanted} is not in {said}");
    }
    let link = format!("https://portal.example.net/invoices/{}", invoice.id);
    assert_eq!(scanned("invoice.pdf", &pdf), [link]);

    // The page has the same texts.
    let page = html::document(&paper::invoice(&invoice, Some(&standing), &settings())).unwrap();
    kept("invoice.html", page.as_bytes());
    for line in &quote.lines {
        for money in [line.net, line.tax, line.total] {
            assert!(page.contains(&format!("<td>{}</td>", money.grouped())));
        }
    }
    assert!(page.contains(&format!("<dd>{}</dd>", quote.total.grouped())));
}

#[test]
fn the_same_facts_give_the_same_octets() {
    let quote = quote(some_items(), &[], TaxRounding::Line).unwrap();
    let mut invoice = invoice_of(quote, HOSTILE);
    invoice.number = None;
    let once = paper::invoice_pdf(&invoice, None, &settings()).unwrap();
    assert_eq!(once, paper::invoice_pdf(&invoice, None, &settings()).unwrap());
    assert!(squeezed(&text_of("draft.pdf", &once)).contains("DRAFT"));
}

#[test]
fn names_are_printed_whole_whatever_is_in_them() {
    let items = vec![
        item(HOSTILE, 1_000, TaxTreatment::Exempt, 0),
        item(&"W".repeat(400), 1, TaxTreatment::Exempt, 0),
    ];
    let invoice = invoice_of(
        quote(items, &[], TaxRounding::Invoice).unwrap(),
        &format!("{HOSTILE} {}", "Ọ".repeat(150)),
    );
    let document = paper::invoice(&invoice, Some(&standing(&invoice, 0)), &settings());
    let (_folder, path) = kept("hostile.pdf", &paper::pdf(&document).unwrap());
    told("qpdf", &["--check", "FILE"], &path);
    let text = told("pdftotext", &["-raw", "FILE", "-"], &path);
    let glued: String = text.split_whitespace().collect();
    // What has no letter is seen to be missing: the override of direction, and the Chinese one.
    assert!(
        glued.contains("<script>alert(1)</script>=1+2(\\)%%\u{fffd}detrevni\u{fffd}Ọ̀ṣun&Ɗan\"Kƙ\""),
        "{text}"
    );
    assert_eq!(
        glued.matches('W').count(),
        400 + glued.matches("Way").count() + glued.matches("What").count()
    );
    assert_eq!(text.matches('Ọ').count(), 150 + 2);

    let page = html::document(&document).unwrap();
    assert!(!page.contains("<script") && page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(!page.contains("\"Kƙ\"") && !page.contains('\u{202e}') && page.contains("\u{fffd}detrevni"));
}

#[test]
fn a_long_invoice_goes_on_over_pages_with_every_line_once() {
    let items =
        (1..=200).map(|n| item(&format!("Line number {n:03}"), 100 + n, TaxTreatment::Exclusive, 75_000));
    let invoice = invoice_of(quote(items.collect(), &[], TaxRounding::Invoice).unwrap(), "Ada Obi");
    let pdf = paper::invoice_pdf(&invoice, Some(&standing(&invoice, 0)), &settings()).unwrap();
    let text = text_of("long.pdf", &pdf);
    let pages: Vec<&str> = text.split('\u{c}').filter(|page| !page.trim().is_empty()).collect();
    for (n, line) in (1..=200).zip(&invoice.quote.lines) {
        let name = format!("Line number {n:03}");
        assert_eq!(text.matches(&name).count(), 1, "{name}");
        let row = squeezed(text.lines().find(|row| row.contains(&name)).unwrap());
        assert!(row.ends_with(&line.total.grouped()), "{row}");
    }
    for (at, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("page {} of {}", at + 1, pages.len())), "{page}");
        let is_table = page.contains("Line number");
        assert_eq!(squeezed(page).contains("What Net Tax rate Tax Total"), is_table);
    }
    let last = squeezed(pages.last().unwrap());
    assert!(last.contains("Total NGN") && last.contains("Due NGN"), "the sums stay together");
}

#[test]
fn amounts_of_any_size_are_never_cut() {
    let huge = i64::MAX / 4;
    let items = vec![item("Everything", huge, TaxTreatment::Exclusive, 75_000)];
    let invoice = invoice_of(quote(items, &[], TaxRounding::Invoice).unwrap(), "Ada Obi");
    let pdf = paper::invoice_pdf(&invoice, None, &settings()).unwrap();
    let said = squeezed(&text_of("huge.pdf", &pdf));
    assert!(said.contains(&ngn(huge).grouped()) && said.contains(&invoice.quote.total.grouped()), "{said}");
}

#[test]
fn a_credit_note_asks_for_nothing() {
    let mut credit = invoice_of(
        quote(vec![item("Home 20", 100_000, TaxTreatment::Exclusive, 75_000)], &[], TaxRounding::Invoice)
            .unwrap(),
        "Ada Obi",
    );
    credit.kind = DocumentKind::CreditNote;
    credit.number = Some("LEKKI1-C-2026-000001".to_owned());
    let said = squeezed(&text_of(
        "credit.pdf",
        &paper::invoice_pdf(&credit, Some(&standing(&credit, 0)), &settings()).unwrap(),
    ));
    assert!(said.contains("Credit note"), "{said}");
    assert!(
        said.contains("Total NGN 1,075.00") && !said.contains("Due") && !said.contains("https://"),
        "{said}"
    );
}

fn payment(status: PaymentStatus) -> Payment {
    Payment {
        id: PaymentId(Uuid::from_u128(3)),
        subscriber_id: None,
        order_id: None,
        provider: ProviderName::Paystack,
        reference: "DM-7F3K-000001".to_owned(),
        checkout: None,
        transaction: Some("4099260516".to_owned()),
        url: None,
        status,
        expected: ngn(1_881_250),
        received: Some(ngn(1_881_250)),
        fee: None,
        method: Method::Card,
        refunds: vec![Refund {
            key: "1".to_owned(),
            amount: ngn(100_000),
            is_chargeback: false,
            status: RefundStatus::Done,
            transaction: None,
            reason: String::new(),
            at: at("2026-11-28T10:00:00Z"),
        }],
        taken_by: None,
        note: None,
        polls: 0,
        next_poll_at: None,
        created_at: at("2026-11-26T10:00:00Z"),
        settled_at: Some(at("2026-11-26T10:01:00Z")),
        updated_at: at("2026-11-26T10:01:00Z"),
    }
}

#[test]
fn a_receipt_says_what_was_paid_and_what_went_back() {
    let facts = ReceiptFacts {
        seller: party("Lekki POP 1"),
        payer: party("Ada Obi"),
        applied: vec![
            ("Invoice LEKKI1-2026-000001".to_owned(), ngn(1_800_000)),
            ("Wallet".to_owned(), ngn(81_250)),
        ],
    };
    let read = |status, name| {
        let pdf = paper::receipt_pdf(&payment(status), &facts, &settings()).unwrap();
        squeezed(&text_of(name, &pdf))
    };
    let said = read(PaymentStatus::PartiallyRefunded, "receipt.pdf");
    for wanted in [
        "DM-7F3K-000001",
        "Received 26 Nov 2026, 11:01",
        "4099260516",
        "Invoice LEKKI1-2026-000001 18,000.00",
        "Wallet 812.50",
        "Received NGN 18,812.50",
        "Paid back on 28 Nov 2026 -1,000.00",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    assert!(!said.contains("NOT PAID") && read(PaymentStatus::Pending, "pending.pdf").contains("NOT PAID"));
}

#[test]
fn a_statement_says_what_is_owed_without_signs() {
    let line = |day: &str, what: &str, change, balance| StatementLine {
        at: at(&format!("2026-11-{day}T10:00:00Z")),
        what: what.to_owned(),
        change,
        balance,
    };
    let facts = Statement {
        seller: party("Lekki POP 1"),
        customer: party("Ada Obi"),
        currency: Currency::parse("NGN").unwrap(),
        from: at("2026-10-31T23:00:00Z"),
        until: at("2026-11-30T23:00:00Z"),
        opening: 50_000,
        lines: vec![line("02", "Invoice 1", -1_075_000, -1_025_000), line("03", "Payment", 1_025_000, 0)],
        closing: 0,
    };
    let said = squeezed(&text_of("statement.pdf", &paper::statement_pdf(&facts, &settings()).unwrap()));
    for wanted in [
        "On 1 Nov 2026 500.00 credit",
        "Invoice 1 10,750.00 10,250.00 owed",
        "Payment 10,250.00 0.00",
        "Charged 10,750.00",
        "Paid and credited 10,250.00",
        "On 1 Dec 2026 0.00",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
}

fn codes(count: usize) -> Vec<SheetCode> {
    let code = |n| SheetCode {
        code: format!("LK-7H3K-{n:04}-MNPQ"),
        plan: "One day, 20 Mbit/s".to_owned(),
        price: Some(ngn(50_000)),
        valid: "24 hours from first use".to_owned(),
        redeem_by: "Use before 1 Jun 2027".to_owned(),
        serial: format!("B7 / {n:04}"),
    };
    (1..=count).map(code).collect()
}

#[test]
fn a_phone_reads_every_voucher_of_a_sheet() {
    let layout = SheetLayout { heading: "Lekki POP 1".to_owned(), columns: 3, wifi: None };
    let pdf = paper::voucher_sheet_pdf(&codes(30), &layout, &settings()).unwrap();
    let mut read = scanned("vouchers.pdf", &pdf);
    read.sort();
    let wanted: Vec<String> =
        codes(30).iter().map(|one| format!("https://portal.example.net/voucher?code={}", one.code)).collect();
    assert_eq!(read, wanted);
    let text = text_of("vouchers.pdf", &pdf);
    for one in codes(30) {
        assert_eq!(text.matches(&one.code).count(), 1);
    }
    assert_eq!(text.matches("500.00 NGN").count(), 30);
}

#[test]
fn a_sheet_with_wifi_joins_the_network_first() {
    let wifi = Wifi { name: "Lekki; \"guest\"".to_owned(), password: Some("let:me,in".to_owned()) };
    let layout = SheetLayout { heading: HOSTILE.to_owned(), columns: 2, wifi: Some(wifi) };
    let pdf = paper::voucher_sheet_pdf(&codes(2), &layout, &settings()).unwrap();
    let read = scanned("wifi.pdf", &pdf);
    assert_eq!(
        read.iter()
            .filter(|one| one.as_str() == "WIFI:T:WPA;S:Lekki\\; \\\"guest\\\";P:let\\:me\\,in;;")
            .count(),
        2,
        "{read:?}"
    );
    let page = html::voucher_sheet(&codes(2), &layout, &settings()).unwrap();
    kept("wifi.html", page.as_bytes());
    assert!(!page.contains("<script") && page.contains("LK-7H3K-0001-MNPQ"));
}

#[test]
fn a_sheet_has_an_end() {
    let layout = SheetLayout { heading: String::new(), columns: 3, wifi: None };
    let many = codes(paper::MOST_CODES + 1);
    assert_eq!(paper::voucher_sheet_pdf(&many, &layout, &settings()), Err(PaperError::TooMany));
    let pdf = paper::voucher_sheet_pdf(&many[1..], &layout, &settings()).unwrap();
    assert!(pdf.len() < 8_000_000, "{} octets", pdf.len());
    text_of("many.pdf", &pdf);
}
