//! An ISP moves in with real dumps (`mysqldump` of MariaDB 10.11 over FreeRADIUS 3.2's own schema, daloRADIUS'
//! and phpNuxBill's tables) and with CSV: what can be taken goes in, the rest is named by its line, and the same
//! file again changes nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use axum::http::Method;
use dotmac_edge::domain::ledger::Account;
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::{Client, Reply};

const FREERADIUS: &str = include_str!("fixtures/import/freeradius.sql");
const PHPNUXBILL: &str = include_str!("fixtures/import/phpnuxbill.sql");
const SPLYNX: &str = "ID,Login,Full name,E-mail,Phone number,Street,City,Account balance,Tariff,Password\n\
    1,ada,Ada Obi,ada@example.net,+2348012345678,1 High Street,Lagos,2500.50,,\n\
    2,bola,\"Bola \"\"B\"\" Ade\",,,,,-100,Gone,secret1\n\
    ,x,No Id,,,,,,,\n\
    4,eve,=HYPERLINK(1),,,,,12.345,,\n";

async fn send(who: &Client, from: &str, file: &str, dry: bool) -> Reply {
    let path = format!("/api/v1/imports?from={from}&dry_run={dry}");
    who.send_bytes(Method::POST, &path, "text/plain", Some(file.as_bytes().to_vec())).await
}

fn texts(list: &Value) -> String {
    let one = |bad: &Value| {
        format!("{}: {} {}", bad["line"], bad["field"].as_str().unwrap(), bad["message"].as_str().unwrap())
    };
    list.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join("\n")
}

async fn customer(edge: &Edge, number: &str) -> Value {
    let found = edge.console.get(&format!("/api/v1/customers?search={number}")).await.expect(200);
    let all = found["items"].as_array().unwrap();
    all.iter()
        .find(|one| one["customer_number"] == number)
        .unwrap_or_else(|| panic!("{number}: {found}"))
        .clone()
}

#[tokio::test]
async fn a_dump_of_freeradius_and_daloradius_moves_in_once() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("owner@example.net", "owner").await;
    let dry = send(&ada, "freeradius", FREERADIUS, true).await.expect(200);
    assert_eq!(
        (&dry["plans"]["created"], &dry["nas"]["created"], &dry["created"]),
        (&json!(3), &json!(1), &json!(4)),
        "{dry}"
    );
    assert_eq!(
        edge.console.get("/api/v1/customers").await.expect(200)["total"],
        0,
        "a dry run writes nothing"
    );

    let done = send(&ada, "freeradius", FREERADIUS, false).await.expect(200);
    assert_eq!((&done["plans"]["created"], &done["nas"]["created"]), (&json!(3), &json!(1)), "{done}");
    assert_eq!((&done["created"], &done["services"]), (&json!(4), &json!(3)), "{done}");
    let failed = texts(&done["failed"]);
    for told in [
        "the group \"Broken\" says no speed",
        "the plan \"Dear\" is not in NGN",
        "there is no plan \"Broken\"",
        "is let in without a password there",
        "secret must have 16 to 128 characters",
    ] {
        assert!(failed.contains(told), "{told}\n{failed}");
    }
    let notes = texts(&done["notes"]);
    for told in [
        "of \"chidi\" is there as MD5-Password only",
        "\"not an address\" must be an e-mail address",
        "Framed-IP-Address of \"ada\" is not taken over",
        "the plan \"Office\" has no price there",
        "HYPERLINK(\\\"x\\\")\" has no group and no plan",
    ] {
        assert!(notes.contains(told), "{told}\n{notes}");
    }
    assert!(!failed.contains("s3cret") && !notes.contains("s3cret"), "no password is told");
    assert_eq!(done["credentials"].as_array().unwrap().len(), 1, "only chidi's, whose hash cannot be used");

    let person = customer(&edge, "ada").await;
    assert_eq!((&person["last_name"], &person["phone"]), (&json!("O'Neil-Obi"), &json!("+2348012345678")));
    assert_eq!(person["billing_address"]["street"], "1 \"High\" Street Flat 2");
    let services = edge.console.get("/api/v1/services?search=ada").await.expect(200);
    let service = &services["items"][0];
    assert_eq!(
        (&service["username"], &service["plan_code"]),
        (&json!("ada"), &json!("Home-10M-626308")),
        "{service}"
    );
    let plan = edge.console.get("/api/v1/service-plans/Home-10M-626308").await.expect(200);
    assert_eq!(
        (&plan["download_speed"], &plan["upload_speed"], &plan["device_limit"]),
        (&json!(10), &json!(5), &json!(3))
    );

    let again = send(&ada, "freeradius", FREERADIUS, false).await.expect(200);
    for part in ["plans", "nas"] {
        assert_eq!(again[part]["created"], 0, "{again}");
    }
    assert_eq!(
        (&again["created"], &again["updated"], &again["unchanged"]),
        (&json!(0), &json!(0), &json!(4)),
        "{again}"
    );
    assert_eq!(again["credentials"], json!([]));
}

#[tokio::test]
async fn a_dump_of_phpnuxbill_moves_in_once_with_its_balances() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("owner@example.net", "owner").await;
    let done = send(&ada, "phpnuxbill", PHPNUXBILL, false).await.expect(200);
    assert_eq!(texts(&done["failed"]), "");
    assert_eq!(
        (&done["plans"]["created"], &done["created"], &done["services"]),
        (&json!(2), &json!(3), &json!(1)),
        "{done}"
    );
    assert_eq!(done["balances"], json!({ "created": 2, "unchanged": 0 }));
    let notes = texts(&done["notes"]);
    assert!(notes.contains("1 vouchers that were not used"), "{notes}");
    assert!(notes.contains("\"ada\" has paid until 2026-03-15 10:00:00 there"), "{notes}");
    assert!(!notes.contains("ABCD1234"), "a voucher's code is not told");
    let book = &edge.app.billing.book;
    let wallet = async |number: &str| {
        let id = customer(&edge, number).await["id"].as_str().unwrap().parse().unwrap();
        book.balance(&Account::Wallet(id)).await.unwrap()
    };
    // Debit positive: what a customer has stands below zero.
    assert_eq!((wallet("ada").await, wallet("bola").await, wallet("eve").await), (-250_050, 0, 10_000));
    assert_eq!(book.balance(&Account::Opening).await.unwrap(), 240_050);
    let again = send(&ada, "phpnuxbill", PHPNUXBILL, false).await.expect(200);
    assert_eq!(again["balances"], json!({ "created": 0, "unchanged": 2 }), "{again}");
    assert_eq!((wallet("ada").await, &again["unchanged"]), (-250_050, &json!(3)));
}

#[tokio::test]
async fn a_sheet_of_splynx_or_uisp_moves_in_and_bad_lines_are_named() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("owner@example.net", "owner").await;
    for system in ["splynx", "uisp"] {
        let done = send(&ada, system, SPLYNX, false).await.expect(200);
        let failed = texts(&done["failed"]);
        assert!(failed.contains("3: plan_code there is no plan \"Gone\""), "{failed}");
        assert!(failed.contains("4: ID is needed"), "{failed}");
        assert!(failed.contains("5: balance \"12.345\""), "{failed}");
        assert_eq!(done["created"].as_u64().unwrap() + done["unchanged"].as_u64().unwrap(), 2, "{done}");
    }
    assert_eq!(customer(&edge, "4").await["first_name"], "=HYPERLINK(1)", "a cell is data");
}

#[tokio::test]
async fn what_is_no_export_is_a_field_error_and_changes_nothing() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("owner@example.net", "owner").await;
    for (from, file) in [
        ("freeradius", "INSERT INTO radcheck VALUES (1,'ada"),
        ("freeradius", "INSERT INTO radcheck VALUES (1)"),
        ("phpnuxbill", "/* "),
        ("splynx", "Name,Balance\nAda,1\n"),
    ] {
        assert!(send(&ada, from, file, false).await.expect(422)["field_errors"]["body"].is_array(), "{file}");
    }
    let refused = send(&ada, "mikrotik", "", false).await;
    assert!(refused.expect(422)["field_errors"]["from"].is_array());
    let latin = b"ID,Name\n1,Ad\xe9\n".to_vec();
    let path = "/api/v1/imports?from=splynx";
    let refused = ada.send_bytes(Method::POST, path, "text/csv", Some(latin)).await.expect(422);
    assert!(
        refused["field_errors"]["body"][0].as_str().unwrap().contains("not UTF-8 on line 2"),
        "{refused}"
    );
    assert_eq!(edge.console.get("/api/v1/customers").await.expect(200)["total"], 0);
}
