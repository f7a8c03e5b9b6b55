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
    assert_eq!(texts(&done["notes"]), "");
    assert_eq!(done["vouchers"], json!({ "created": 1, "unchanged": 0 }), "{done}");
    assert!(!done.to_string().contains("ABCD1234"), "a voucher's code is not told");
    // Paid until 15 March, 10 o'clock in Lagos, as it was there; not a period from now on.
    edge.app.catalogue.provisioning.resume_open_tasks(&edge.app.clock).await.unwrap();
    let service = edge.console.get("/api/v1/services/ada").await.expect(200);
    assert_eq!(
        (&service["status"], &service["paid_until"]),
        (&json!("active"), &json!("2026-03-15T09:00:00Z")),
        "{service}"
    );
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
    assert_eq!(again["vouchers"], json!({ "created": 0, "unchanged": 1 }), "{again}");
    assert_eq!((wallet("ada").await, &again["unchanged"]), (-250_050, &json!(3)));
}

#[tokio::test]
async fn a_card_that_phpnuxbill_printed_goes_on_working_and_is_kept_as_a_hash_only() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let (_, ada) = edge.customer("someone@example.net").await;
    let redeem = |typed: &str| {
        let (ada, body) = (ada.clone(), json!({ "code": typed }));
        async move { ada.post("/api/v1/vouchers/redeem", body).await }
    };
    // Before the move eight symbols are no code of anything here.
    assert_eq!(redeem("ABCD1234").await.refusal(422), "validation_error");
    let dry = send(&owner, "phpnuxbill", PHPNUXBILL, true).await.expect(200);
    assert_eq!(dry["vouchers"]["created"], 1, "{dry}");
    assert_eq!(edge.console.get("/api/v1/vouchers").await.expect(200)["total"], 0);
    send(&owner, "phpnuxbill", PHPNUXBILL, false).await.expect(200);

    assert_eq!(redeem("EFGH5678").await.refusal(404), "not_found", "one that was used there is none here");
    let used = redeem("abcd 1234").await.expect(200);
    assert_eq!((&used["first_use"], &used["plan"]), (&json!(true), &json!("Day 1 GB")), "{used}");
    assert_eq!(used["until"], "2026-03-02T08:00:00.000Z");
    assert_eq!(redeem("ABCD-1234").await.expect(200)["first_use"], false);
    let looked_up =
        edge.console.post("/api/v1/vouchers/lookup", json!({ "code": "ABCD1234" })).await.expect(200);
    assert_eq!((&looked_up["state"], &looked_up["serial"]), (&json!("active"), &used["voucher"]));
    // The same dump again: it is there, and used.
    let again = send(&owner, "phpnuxbill", PHPNUXBILL, false).await.expect(200);
    assert_eq!(again["vouchers"], json!({ "created": 0, "unchanged": 1 }), "{again}");
    for path in ["vouchers", "voucher-batches", "audit", "services"] {
        let text = edge.console.get(&format!("/api/v1/{path}")).await.expect(200).to_string();
        assert!(!text.contains("ABCD1234"), "{path}: {text}");
    }
}

#[tokio::test]
async fn what_a_login_has_for_itself_in_freeradius_it_has_here_and_the_rest_is_named_by_line() {
    const DUMP: &str = "CREATE TABLE radcheck (id int, username varchar(64), attribute varchar(64), op char(2), value varchar(253));\n\
        CREATE TABLE radreply (id int, username varchar(64), attribute varchar(64), op char(2), value varchar(253));\n\
        CREATE TABLE radgroupreply (id int, groupname varchar(64), attribute varchar(64), op char(2), value varchar(253));\n\
        CREATE TABLE radusergroup (username varchar(64), groupname varchar(64), priority int);\n\
        INSERT INTO radgroupreply VALUES (1,'Home','Mikrotik-Rate-Limit',':=','5M/10M'),\n\
        (2,'Home','Framed-Pool',':=','homes'),\n\
        (3,'Home','Reply-Message','=','hello');\n\
        INSERT INTO radusergroup VALUES ('ada','Home',1),('bola','Home',1),('eve','Home',1);\n\
        INSERT INTO radcheck VALUES (1,'ada','Cleartext-Password',':=','ada-secret-1'),\n\
        (2,'bola','Cleartext-Password',':=','bola-secret-1'),(3,'bola','Expiration',':=','15 Mar 2026 10:00'),\n\
        (4,'eve','Cleartext-Password',':=','eve-secret-12'),(5,'eve','Expiration',':=','1 Jan 2026'),\n\
        (6,'ada','Simultaneous-Use',':=','4');\n\
        INSERT INTO radreply VALUES (1,'ada','Framed-IP-Address','=','10.9.0.5'),\n\
        (2,'ada','WISPr-Bandwidth-Max-Down','=','3000000'),(3,'ada','WISPr-Bandwidth-Max-Up','=','1000000'),\n\
        (4,'ada','Session-Timeout','=','7200'),\n\
        (5,'bola','Mikrotik-Rate-Limit','=','2M/4M'),(6,'bola','Framed-IP-Address','=','255.255.255.254'),\n\
        (7,'bola','Cisco-AVPair','=','ip:dns-servers=10.0.0.1'),\n\
        (8,'eve','Session-Timeout','=','soon');\n";
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let done = send(&owner, "freeradius", DUMP, false).await.expect(200);
    assert_eq!(
        (&done["created"], &done["services"], texts(&done["failed"])),
        (&json!(3), &json!(3), String::new())
    );
    let notes = texts(&done["notes"]);
    for told in [
        "7: attribute Reply-Message of \"Home\" means nothing here",
        "17: attribute Cisco-AVPair of \"bola\" means nothing here",
        "18: attribute Session-Timeout of \"eve\" cannot be read",
    ] {
        assert!(notes.contains(told), "{told}\n{notes}");
    }
    assert!(!notes.contains("secret") && !notes.contains("255.255"), "{notes}");
    edge.app.catalogue.provisioning.resume_open_tasks(&edge.app.clock).await.unwrap();

    let kept =
        async |login: &str| edge.app.catalogue.services.get(login, edge.app.clock.now()).await.unwrap();
    let ada = kept("ada").await.service;
    assert_eq!(ada.addresses.ipv4, Some("10.9.0.5".parse().unwrap()));
    let (down, up) = (ada.terms.rates.down.0.get(), ada.terms.rates.up.0.get());
    assert_eq!((down, up, ada.terms.session_limit_secs), (3_000_000, 1_000_000, Some(7_200)));
    assert_eq!(
        (ada.terms.device_limit, ada.addresses.pool.unwrap().as_str().to_owned()),
        (4, "homes".to_owned())
    );
    let bola = kept("bola").await;
    let (down, up) = (bola.service.terms.rates.down.0.get(), bola.service.terms.rates.up.0.get());
    assert_eq!((down, up, bola.service.addresses.ipv4), (4_000_000, 2_000_000, None));
    let ends: Vec<_> = bola.service.intervals.iter().map(|one| one.until.unwrap().to_string()).collect();
    assert_eq!((bola.standing.detail, ends), ("active", vec!["2026-03-15T09:00:00Z".to_owned()]));
    let eve = kept("eve").await;
    assert_eq!(eve.standing.status.name(), "restricted", "what had ended there does not run again: {eve:?}");
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
