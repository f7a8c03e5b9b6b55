//! The counter and the books over the API: coupons, drafts of invoices, receipts that are matched, refunds; each with its
//! audit entry, each safe to repeat, each refused to whom it is not for.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use dotmac_edge::billing::Settlement;
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::payment::{Confirmation, Method, Outcome, ProviderName};
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;

fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

/// What the audit log says was done to something, by the deed's name: the test's clock stands still.
async fn deeds(owner: &Client, subject: &str) -> Vec<Value> {
    let log = owner.get(&format!("/api/v1/audit?subject_id={subject}")).await.expect(200);
    let mut deeds = log["items"].as_array().unwrap().clone();
    deeds.sort_by_key(|deed| deed["action"].as_str().unwrap().to_owned());
    deeds
}

fn actions(deeds: &[Value]) -> Vec<&str> {
    deeds.iter().map(|one| one["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn coupons_are_made_changed_and_removed_by_who_may_and_each_is_in_the_audit_log() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let (_, cashier) = edge.staff("cashier@example.net", "cashier").await;
    let body = json!({ "code": "Spring-25", "percent": "12.5", "fixed_amount": "100.00", "max_uses": 10,
        "valid_from": "2026-03-01T00:00:00Z", "valid_until": "2026-04-01T00:00:00Z" });
    let keyed = owner.header("idempotency-key", "coupon-1");
    let made = keyed.post("/api/v1/coupons", body.clone()).await.expect(201);
    assert_eq!(keyed.post("/api/v1/coupons", body.clone()).await.expect(201)["id"], made["id"]);
    assert_eq!(
        (&made["percent"], &made["fixed_amount"], &made["uses"]),
        (&json!("12.5"), &json!("100.00"), &json!(0))
    );
    assert_eq!(made["max_uses_per_customer"], 1, "once by each unless said");
    let twice = owner.post("/api/v1/coupons", json!({ "code": "SPRING-25", "percent": 5 })).await.expect(422);
    assert!(twice["field_errors"]["code"].is_array(), "{twice}");
    for (field, wrong) in [
        ("percent", json!({ "code": "A", "percent": "101" })),
        ("percent", json!({ "code": "A" })),
        ("percent", json!({ "code": "A", "percent": 1.00001 })),
        ("fixed_amount", json!({ "code": "A", "fixed_amount": "-1" })),
        ("fixed_amount", json!({ "code": "A", "fixed_amount": "10.005" })),
        ("valid_until", json!({ "code": "A", "percent": 5, "valid_until": "2026-01-01" })),
        (
            "plan_ids",
            json!({ "code": "A", "percent": 5, "plan_ids": ["01900000-0000-7000-8000-000000000000"] }),
        ),
        ("code", json!({ "code": "a b", "percent": 5 })),
        ("max_uses", json!({ "code": "A", "percent": 5, "max_uses": 0 })),
    ] {
        let refused = owner.post("/api/v1/coupons", wrong.clone()).await.expect(422);
        assert!(refused["field_errors"][field].is_array(), "{wrong}: {refused}");
    }
    assert_eq!(cashier.get("/api/v1/coupons").await.expect(200)["total"], 1);
    assert_eq!(cashier.post("/api/v1/coupons", body).await.refusal(403), "access_denied");
    let path = "/api/v1/coupons/spring-25";
    let changed = owner.patch(path, json!({ "fixed_amount": null, "is_active": false })).await.expect(200);
    assert_eq!((&changed["fixed_amount"], &changed["is_active"]), (&Value::Null, &json!(false)));
    assert_eq!(changed["percent"], "12.5", "what is left out stays");
    assert!(
        owner.patch(path, json!({ "code": "OTHER" })).await.expect(422)["field_errors"]["code"].is_array()
    );
    let (_, ada) = edge.customer("ada@example.net").await;
    for (kind, code) in [("wallet", "SPRING-25"), ("wallet", "NOSUCH")] {
        let order = json!({ "kind": kind, "amount": "100.00", "coupon": code });
        let refused = ada.post("/api/v1/customer/orders", order).await.expect(422);
        assert!(refused["field_errors"]["coupon"].is_array(), "{refused}");
    }
    owner.delete(path).await.expect(200);
    assert_eq!(owner.get(path).await.status, 404);
    let log = deeds(&owner, &id(&made)).await;
    assert_eq!(actions(&log), ["coupon.create", "coupon.remove", "coupon.update"]);
    assert_eq!(
        (&log[2]["before"]["is_active"], &log[2]["after"]["is_active"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn rule_15_a_draft_is_written_changed_and_made_final_once_and_then_nothing_changes_it() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let (_, auditor) = edge.staff("auditor@example.net", "auditor").await;
    let (ada, own) = edge.customer("ada@example.net").await;
    let customer = id(&ada);
    let drafts = "/api/v1/invoice-drafts";
    let body = json!({ "customer_id": customer, "note": "As agreed by telephone", "lines": [
        { "description": "Cable", "quantity": 3, "amount": "100.00", "tax_rate": "7.5" },
        { "description": "Work", "amount": 5000, "tax_class": "exempt" },
    ]});
    let draft = owner.post(drafts, body.clone()).await.expect(201);
    assert_eq!((&draft["status"], &draft["quote"]["total"]), (&json!("draft"), &json!("5322.50")));
    assert_eq!(auditor.post(drafts, body).await.status, 403);
    for (field, lines) in [
        ("lines", json!([])),
        ("lines", json!([{ "amount": "1" }])),
        ("lines", json!([{ "description": "x", "amount": "1e3" }])),
        ("lines", json!([{ "description": "x", "amount": "1", "tax_class": "some" }])),
        ("lines", json!([{ "description": "x", "amount": "1", "quantity": 1.5 }])),
        ("quantity", json!([{ "description": "x", "amount": "1", "quantity": 0 }])),
        ("amount", json!([{ "description": "x", "amount": "-1" }])),
    ] {
        let refused =
            owner.post(drafts, json!({ "customer_id": customer, "lines": lines })).await.expect(422);
        assert!(refused["field_errors"][field].is_array(), "{field}: {refused}");
    }
    let path = format!("{drafts}/{}", id(&draft));
    let lines = json!([{ "description": "Cable", "quantity": 2, "amount": "100.00" }]);
    let changed = owner.patch(&path, json!({ "lines": lines, "due_days": 3 })).await.expect(200);
    assert_eq!((&changed["quote"]["total"], &changed["note"]), (&json!("200.00"), &draft["note"]));
    // Nobody owes a draft, and its customer does not see it.
    assert_eq!(owner.get(&format!("/api/v1/customers/{customer}/wallet")).await.expect(200)["owed"], "0.00");
    assert_eq!(own.get("/api/v1/customer/invoices").await.expect(200)["total"], 0);
    assert_eq!(owner.get("/api/v1/invoices").await.expect(200)["total"], 0);
    let (first, second) = (format!("{path}/finalise"), format!("{path}/finalise"));
    let (one, other) = tokio::join!(owner.post(&first, json!({})), owner.post(&second, json!({})));
    let (one, other) = (one.expect(200), other.expect(200));
    assert_eq!((&one["invoice_number"], &one["id"]), (&other["invoice_number"], &draft["id"]));
    assert_eq!(one["invoice_number"], "INV-2026-000001");
    assert_eq!((&one["status"], &one["amount_due"]), (&json!("issued"), &json!("200.00")));
    assert_eq!(one["due_date"], "2026-03-03T23:00:00Z", "three days of the site's calendar");
    assert_eq!(
        owner.get(&format!("/api/v1/customers/{customer}/wallet")).await.expect(200)["owed"],
        "200.00"
    );
    assert_eq!(own.get("/api/v1/customer/invoices").await.expect(200)["total"], 1);
    // From here on there is no draft, and no route that changes an invoice.
    assert_eq!(owner.patch(&path, json!({ "due_days": 1 })).await.status, 404);
    assert_eq!(owner.delete(&path).await.status, 404);
    let invoice = format!("/api/v1/invoices/{}", id(&draft));
    assert_eq!(owner.patch(&invoice, json!({ "note": "x" })).await.status, 405);
    assert_eq!(owner.post(&first, json!({})).await.expect(200)["invoice_number"], "INV-2026-000001");
    let next = owner.post(drafts, json!({ "customer_id": customer, "lines": lines })).await.expect(201);
    owner.delete(&format!("{drafts}/{}", id(&next))).await.expect(200);
    let free = json!([{ "description": "Nothing", "amount": "0" }]);
    let free = owner.post(drafts, json!({ "customer_id": customer, "lines": free })).await.expect(201);
    let refused = owner.post(&format!("{drafts}/{}/finalise", id(&free)), json!({})).await;
    assert_eq!(refused.refusal(422), "business_rule_violation");
    assert_eq!(owner.get("/api/v1/ledger/proof").await.expect(200)["is_right"], true);
    let log = deeds(&owner, &id(&draft)).await;
    assert_eq!(actions(&log), ["invoice_draft.create", "invoice_draft.finalise", "invoice_draft.update"]);
    assert_eq!(actions(&deeds(&owner, &id(&next)).await), ["invoice_draft.create", "invoice_draft.discard"]);
}

#[tokio::test]
async fn an_unmatched_receipt_is_given_to_its_owner_with_a_reason_and_what_goes_back_is_in_the_audit_log() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let (ada, _) = edge.customer("ada@example.net").await;
    let (obi, _) = edge.customer("obi@example.net").await;
    let said = Confirmation {
        provider: ProviderName::Paystack,
        reference: "somebody".into(),
        transaction: "t-1".into(),
        outcome: Outcome::Succeeded,
        amount: Money { minor: 50_000, currency: Currency::parse("NGN").unwrap() },
        fee: None,
        method: Method::Transfer,
    };
    let settled = edge.app.billing.till.settle(&said, edge.app.clock.now()).await.unwrap();
    assert!(matches!(settled, Settlement::Unmatched(_)));
    let waits = owner.get("/api/v1/payments?unmatched=true").await.expect(200);
    let payment = id(&waits["items"][0]);
    let path = format!("/api/v1/payments/{payment}/match");
    let body = json!({ "customer_id": id(&ada), "reason": "Her name is on the transfer" });
    assert!(
        owner.post(&path, json!({ "customer_id": id(&ada) })).await.expect(422)["field_errors"]["reason"]
            .is_array()
    );
    let nobody = json!({ "customer_id": "01900000-0000-7000-8000-000000000000", "reason": "x" });
    assert_eq!(owner.post(&path, nobody).await.status, 404);
    for _ in 0..2 {
        assert_eq!(owner.post(&path, body.clone()).await.expect(200)["customer_id"], ada["id"]);
    }
    let other = json!({ "customer_id": id(&obi), "reason": "No, his" });
    assert_eq!(owner.post(&path, other).await.refusal(422), "business_rule_violation");
    let wallet = format!("/api/v1/customers/{}/wallet", id(&ada));
    assert_eq!(owner.get(&wallet).await.expect(200)["balance"], "500.00");
    assert_eq!(owner.get("/api/v1/payments?unmatched=true").await.expect(200)["total"], 0);
    // Some of it goes back: once for one key, with its reason.
    let refund = owner.header("idempotency-key", "refund-1");
    let body = json!({ "amount": "200.00", "reason": "Paid too much", "by_hand": true });
    for _ in 0..2 {
        let done = refund.post(&format!("/api/v1/payments/{payment}/refund"), body.clone()).await.expect(200);
        assert_eq!((&done["refunded"], &done["status"]), (&json!("200.00"), &json!("partially_refunded")));
    }
    assert_eq!(owner.get(&wallet).await.expect(200)["balance"], "300.00");
    let log = deeds(&owner, &payment).await;
    assert_eq!(actions(&log), ["payment.match", "payment.refund"]);
    assert_eq!(
        (&log[1]["after"]["amount"], &log[1]["after"]["reason"]),
        (&json!("200.00"), &json!("Paid too much"))
    );
    assert_eq!(log[0]["after"]["customer_id"], ada["id"]);
    assert_eq!(owner.get("/api/v1/ledger/proof").await.expect(200)["is_right"], true);
}
