//! What is sold and on what it runs, over real HTTP and a real store on disk.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/api_lab.rs"]
#[allow(dead_code, reason = "shared by several tests, each of which uses a part")]
mod api_lab;

use std::sync::Arc;

use api_lab::{Lab, Proofs, catalogue, open_store};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::catalogue::provision::Begun;
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::ids::TaskId;
use dotmac_edge::domain::provisioning::TaskState;
use dotmac_edge::domain::service::Phase;
use dotmac_edge::store::contract::{Page, Range};
use dotmac_edge::store::tables;

#[tokio::test(flavor = "multi_thread")]
async fn a_price_change_makes_a_version_and_leaves_running_contracts_alone() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (service, _) = lab.contract(1).await;

    let changed = lab
        .call(
            "PATCH",
            "/api/v1/service-plans/home-20",
            r#"{"monthly_price":"18000.50","download_speed":7.5}"#,
        )
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.body["version"], 2);
    assert_eq!(changed.body["monthly_price"], "18000.50");
    assert_eq!(changed.body["currency"], "NGN");
    assert_eq!(changed.body["download_bps"], 7_500_000);
    assert_eq!(changed.body["upload_bps"], 5_000_000);
    assert_eq!(changed.body["bandwidth_unit"], "kbps");

    let held = lab.get(&format!("/api/v1/services/{service}")).await;
    assert_eq!(held.body["terms"]["version"], 1);
    assert_eq!(held.body["terms"]["monthly_price"], "17500.00");
    assert_eq!(held.body["terms"]["download_bps"], 20_000_000);
    let versions = lab.store.scan::<tables::PlanVersions>(Range::All, Page::first(10)).await.unwrap();
    assert_eq!(versions.records.len(), 2);

    let same = lab.call("PATCH", "/api/v1/service-plans/home-20", r#"{"monthly_price":18000.5}"#).await;
    assert_eq!((same.status, &same.body["version"]), (200, &2.into()), "no term differs");

    let moved = lab
        .call("POST", &format!("/api/v1/services/{service}/change-plan"), r#"{"plan_code":"home-20"}"#)
        .await;
    assert_eq!((moved.status, &moved.body["terms"]["version"]), (200, &2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_with_every_fault_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let body = r#"{"plan_code":"a b","monthly_price":1.005,"download_speed":0,"upload_speed":"fast",
        "data_allowance":-1,"validity":{"count":0,"unit":"days"},"service_type":"gas"}"#;
    let refused = lab.call("POST", "/api/v1/service-plans", body).await;
    assert_eq!(refused.status, 422);
    let fields: Vec<_> = refused.body["field_errors"].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "data_allowance",
        "download_speed",
        "monthly_price",
        "name",
        "plan_code",
        "service_type",
        "upload_speed",
        "validity",
    ];
    assert_eq!(fields, expected, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_sees_active_public_plans_only_and_may_cache_them() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    for (code, public) in [("open", true), ("inner", false)] {
        let body = format!(
            r#"{{"plan_code":"{code}","name":"P","monthly_price":1,"download_speed":1,"upload_speed":1,
                "data_allowance":1.5,"is_public":{public}}}"#
        );
        assert_eq!(lab.call("POST", "/api/v1/service-plans", &body).await.status, 201);
    }
    let seen = lab.send("GET", "/api/v1/service-plans", &[], "").await;
    assert_eq!((seen.status, &seen.body["total"]), (200, &1.into()));
    assert_eq!(lab.get("/api/v1/service-plans").await.body["total"], 2);

    let public = lab.send("GET", "/api/v1/public/service-plans", &[], "").await;
    assert_eq!(public.body[0]["plan_code"], "open");
    assert_eq!(public.body[0]["data_allowance_octets"], 1_500_000_000_u64);
    assert!(public.head.contains("cache-control: public"));
    let tag = public.head.split("etag: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let again = lab.send("GET", "/api/v1/public/service-plans", &[("if-none-match", tag)], "").await;
    assert_eq!(again.status, 304);

    assert_eq!(lab.call("POST", "/api/v1/service-plans/open/deactivate", "").await.status, 200);
    let gone = lab.send("GET", "/api/v1/plans/public", &[], "").await;
    assert_eq!(gone.body.as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_entered_found_changed_and_closed_but_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let body =
        r#"{"name":"Ada Obi","email":"Ada@Example.net","address":"1 Marina, Lagos","category":"BUSINESS"}"#;
    let made = lab.call("POST", "/api/v1/customers", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["customer_number"], "C-000001");
    assert_eq!(made.body["category"], "business");
    assert_eq!(made.body["billing_address"]["street"], "1 Marina, Lagos");
    assert_eq!(made.body["portal_id"].as_str().unwrap().len(), 8);
    let password = made.body["portal_password"].as_str().unwrap().to_owned();
    assert!(password.len() >= 12);

    let taken = lab.call("POST", "/api/v1/customers", body).await;
    assert_eq!(taken.status, 409);
    assert!(taken.body["field_errors"]["email"].is_array(), "{taken:?}");

    let found = lab.get("/api/v1/customers?search=ADA%40EX&status=NEW").await;
    assert_eq!(found.body["total"], 1);
    assert!(!found.body.to_string().contains(&password), "shown once");
    assert_eq!(lab.get("/api/v1/customers?status=active").await.body["total"], 0);

    let changed =
        lab.call("PATCH", "/api/v1/customers/C-000001", r#"{"phone":"+234 801 234 5678","version":1}"#).await;
    assert_eq!((changed.status, &changed.body["version"]), (200, &2.into()), "{changed:?}");
    assert_eq!(changed.body["email"], "ada@example.net", "what is not named stays");
    let stale = lab.call("PATCH", "/api/v1/customers/C-000001", r#"{"phone":null,"version":1}"#).await;
    assert_eq!(stale.status, 409);

    let closed = lab.call("DELETE", "/api/v1/customers/C-000001", "").await;
    assert_eq!((closed.status, &closed.body["status"]), (200, &"disabled".into()));
    assert_eq!(lab.get("/api/v1/customers/C-000001").await.status, 200);

    let audit = lab.store.scan::<tables::AuditLog>(Range::All, Page::first(100)).await.unwrap();
    let entries: Vec<_> = audit.records.iter().filter(|one| one.body.subject_kind == "customer").collect();
    let actions: Vec<_> = entries.iter().map(|one| one.body.action.as_str()).collect();
    assert_eq!(actions, ["customer.create", "customer.update", "customer.close"]);
    assert!(
        entries.iter().all(|one| !format!("{:?}", one.body).contains("argon2")),
        "no verifier in the log"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_completes_only_with_proof_and_says_what_is_owed() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (service, customer) = lab.contract(1).await;
    *lab.proofs.0.lock().unwrap() = Some("session 81 runs under an old answer".into());

    let begun = lab.call("POST", &format!("/api/v1/services/{service}/provision"), "").await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let task = begun.body["provisioning_task"]["id"].clone();
    let repeated = lab.call("POST", &format!("/api/v1/services/instances/{service}/provision"), "").await;
    assert_eq!((repeated.status, &repeated.body["provisioning_task"]["id"]), (202, &task));

    let resumed = lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    assert_eq!((resumed.waiting, resumed.completed), (1, 0));
    let status = lab.get(&format!("/api/v1/provisioning/status/{customer}")).await;
    assert_eq!(status.body["status"], "provisioning");
    assert_eq!(status.body["progress_percentage"], 80);
    assert_eq!(status.body["status_message"], "Waiting: session 81 runs under an old answer.");
    assert_eq!(lab.get(&format!("/api/v1/services/{service}")).await.body["status"], "provisioning");

    *lab.proofs.0.lock().unwrap() = None;
    let resumed = lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    assert_eq!(resumed.completed, 1);
    let active = lab.get(&format!("/api/v1/services/{service}")).await;
    assert_eq!(
        (active.body["status"].as_str(), active.body["status_detail"].as_str()),
        (Some("active"), Some("active"))
    );
    assert!(active.body["paid_until"].is_string());
    assert_eq!(lab.call("POST", &format!("/api/v1/services/{service}/provision"), "").await.status, 200);
    assert_eq!(lab.get("/api/v1/customers?status=active").await.body["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_killed_between_any_two_steps_goes_on_after_a_restart_and_pays_once() {
    for steps in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let lab = Lab::open(dir.path()).await;
        let (service, _) = lab.contract(1).await;
        let draft =
            lab.catalogue.provisioning.begin(&Actor::system(), &service, Clock::System.now()).await.unwrap();
        let Begun::Open { task, .. } = draft.value else { panic!("a new service is not active") };
        lab.store.commit(draft.unit).await.unwrap();
        for _ in 0..steps {
            lab.catalogue.provisioning.step(task.id, Clock::System.now()).await.unwrap();
        }
        lab.store.close().await;
        drop(lab);

        let (store, vault) = open_store(dir.path());
        let reopened = catalogue(&store, &vault, &Arc::new(Proofs::default()));
        let resumed = reopened.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
        assert_eq!(resumed.completed, 1, "after {steps} steps");
        let again = reopened.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
        assert_eq!(again.completed, 0);
        assert_eq!(run_twice(&reopened, task.id).await, TaskState::Completed);
        let view = reopened.services.get(&service, Clock::System.now()).await.unwrap();
        assert_eq!(view.service.phase, Phase::Active);
        assert_eq!(view.service.intervals.len(), 1, "after {steps} steps");
        store.close().await;
    }
}

async fn run_twice(catalogue: &dotmac_edge::catalogue::Catalogue, task: TaskId) -> TaskState {
    let (one, two) = tokio::join!(
        catalogue.provisioning.run(task, &Clock::System),
        catalogue.provisioning.run(task, &Clock::System)
    );
    assert_eq!(one.unwrap(), two.as_ref().copied().unwrap());
    two.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_of_one_task_pay_once() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (service, _) = lab.contract(1).await;
    let begun = lab.call("POST", &format!("/api/v1/services/{service}/provision"), "").await;
    let task: TaskId = begun.body["provisioning_task"]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(run_twice(&lab.catalogue, task).await, TaskState::Completed);
    let view = lab.catalogue.services.get(&service, Clock::System.now()).await.unwrap();
    assert_eq!(view.service.intervals.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_restrict_a_service_and_it_returns_when_the_last_is_resolved() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (service, _) = lab.contract(1).await;
    lab.call("POST", &format!("/api/v1/services/{service}/provision"), "").await;
    lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    let at = |verb: &str| format!("/api/v1/services/{service}/{verb}");

    let captive = lab.call("POST", &at("suspend"), r#"{"reason":"customer_hold","mode":"captive"}"#).await;
    assert_eq!((captive.status, &captive.body["status_detail"]), (200, &"captive".into()), "{captive:?}");
    let locked = lab.call("POST", &at("suspend"), r#"{"note":"left the country"}"#).await;
    assert_eq!(locked.body["status_detail"], "locked_admin");
    assert!(locked.body["reason"].as_str().unwrap().contains("admin"));
    assert_eq!(lab.call("POST", &at("resume"), "{}").await.body["status"], "restricted");
    let back = lab.call("POST", &at("resume"), r#"{"reason":"customer_hold"}"#).await;
    assert_eq!(back.body["status"], "active");
    assert_eq!(lab.call("POST", &at("suspend"), r#"{"reason":"overdue"}"#).await.status, 422);

    assert_eq!(lab.call("POST", &at("terminate"), "").await.body["status"], "ended");
    assert_eq!(lab.call("POST", &at("terminate"), "").await.status, 200);
    assert_eq!(lab.call("POST", &at("provision"), "").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_unique_and_made_from_the_customer_number() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (first, customer) = lab.contract(7).await;
    assert_eq!(lab.get(&format!("/api/v1/services/{first}")).await.body["username"], "n7");
    let body = format!(r#"{{"customer_id":"{customer}","plan_code":"home-20"}}"#);
    let second = lab.call("POST", "/api/v1/services", &body).await;
    assert_eq!(second.body["username"], "n7-2");
    assert_eq!(second.body["network_password"].as_str().unwrap().len(), 24);
    let body = r#"{"customer_id":"N7","plan_code":"home-20","username":"N7","password":"secret sauce"}"#;
    assert_eq!(lab.call("POST", "/api/v1/services", body).await.status, 409);
    let body = format!(r#"{{"customer_id":"{customer}","service_plan":"none"}}"#);
    assert_eq!(lab.call("POST", "/api/v1/services", &body).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_nas_is_strong_shown_once_and_rotated_without_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    for secret in [
        "testing123",
        "testing123testing123",
        "Radius-Secret-Radius",
        "aaaaaaaaaaaaaaaaaaaa",
        "pop1pop1pop1pop1",
    ] {
        let body = format!(r#"{{"name":"pop1","address":"192.0.2.1","secret":"{secret}"}}"#);
        let refused = lab.call("POST", "/api/v1/nas-devices", &body).await;
        assert_eq!(refused.status, 422, "{secret}");
        assert!(refused.body["field_errors"]["secret"].is_array());
    }
    let body =
        r#"{"name":"pop1","address":"192.0.2.77/24","kind":"MikroTik","message_authenticator":"allow"}"#;
    let made = lab.call("POST", "/api/v1/nas-devices", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["address"], "192.0.2.0/24");
    assert!(made.body["warnings"][0].as_str().unwrap().contains("forged"));
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    assert!(!lab.get("/api/v1/nas-devices/pop1").await.body.to_string().contains(&secret));

    let rotated = lab.call("POST", "/api/v1/nas-devices/pop1/rotate-secret", r#"{"grace_hours":1}"#).await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    assert_ne!(rotated.body["secret"], secret.as_str());
    assert!(rotated.body["previous_secret_until"].is_string());
    let patched =
        lab.call("PATCH", "/api/v1/nas-devices/pop1", r#"{"message_authenticator":"require"}"#).await;
    assert_eq!(patched.body["warnings"].as_array().unwrap().len(), 0);
    let wide = lab.call("POST", "/api/v1/nas-devices", r#"{"name":"all","address":"0.0.0.0/0"}"#).await;
    assert_eq!(wide.status, 422);

    assert_eq!(lab.call("DELETE", "/api/v1/nas-devices/pop1", "").await.status, 200);
    assert_eq!(lab.get("/api/v1/nas-devices/pop1").await.status, 404);
    let audit = lab.store.scan::<tables::AuditLog>(Range::All, Page::first(100)).await.unwrap();
    assert!(audit.records.iter().all(|one| !format!("{:?}", one.body).contains(&secret)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_reports_bad_lines_takes_the_rest_and_changes_nothing_when_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    lab.contract(99).await;
    let roster = "customer_number,name,email,phone,city,plan_code,username,password\n\
        A1,Ada Obi,ada@example.net,+2348012345678,Lagos,home-20,ada,old-router-pass\n\
        A2,=HYPERLINK(1) Eze,chi@example.net,,,,,\n\
        A3,Bola,bola@example.net,,,,,\n\
        A4,Di Fa,ada@example.net,,,,,\n\
        A5,Efe Ojo,efe@example.net,,,no-such-plan,,\n\
        ,Femi Ade,femi@example.net,,,home-20,,\n\
        A1,Ada Again,again@example.net,,,,,\n";
    let import = |dry_run: bool| {
        let token = format!("Bearer {}", lab.token);
        let path = format!("/api/v1/customers/import?dry_run={dry_run}");
        let lab = &lab;
        async move {
            lab.send("POST", &path, &[("authorization", &token), ("content-type", "text/csv")], roster).await
        }
    };
    let tried = import(true).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    assert_eq!((&tried.body["created"], &tried.body["dry_run"]), (&3.into(), &true.into()), "{tried:?}");
    assert_eq!(lab.get("/api/v1/customers").await.body["total"], 1, "a dry run writes nothing");

    let done = import(false).await;
    assert_eq!((&done.body["created"], &done.body["services"]), (&3.into(), &2.into()), "{done:?}");
    let failed: Vec<_> = done.body["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| (bad["line"].as_u64().unwrap(), bad["field"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [(4, "name"), (5, "email"), (6, "plan_code"), (8, "customer_number")];
    assert_eq!(failed, expected.map(|(line, field)| (line, field.to_owned())));
    let made = &done.body["credentials"];
    assert_eq!((made.as_array().unwrap().len(), &made[0]["line"]), (1, &7.into()), "{made}");

    let again = import(false).await;
    assert_eq!((&again.body["created"], &again.body["updated"]), (&0.into(), &0.into()), "{again:?}");
    assert_eq!(again.body["unchanged"], 3);
    lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    assert_eq!(lab.get("/api/v1/services/ada").await.body["status"], "active");
    assert_eq!(lab.get("/api/v1/customers/A2").await.body["first_name"], "=HYPERLINK(1)");

    let amended = roster.replace("Lagos", "Abuja");
    let token = format!("Bearer {}", lab.token);
    let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
    let amended = lab.send("POST", "/api/v1/customers/import", &headers, &amended).await;
    assert_eq!((&amended.body["updated"], &amended.body["unchanged"]), (&1.into(), &2.into()), "{amended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_asked_for_again_while_its_answer_is_lost_enters_nobody_twice_and_blames_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    lab.contract(99).await;
    let mut roster = String::from("customer_number,name,email,plan_code\n");
    for number in 0..400 {
        let numbered = if number % 10 == 0 { String::new() } else { format!("R{number}") };
        roster.push_str(&format!("{numbered},Ada Obi,ada{number}@example.net,home-20\n"));
    }
    let token = format!("Bearer {}", lab.token);
    let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
    let import = || lab.send("POST", "/api/v1/customers/import", &headers, &roster);
    let (one, two) = tokio::join!(import(), import());
    let later = import().await;
    let sum = |name: &str| [&one, &two].iter().map(|reply| reply.body[name].as_u64().unwrap()).sum::<u64>();
    for reply in [&one, &two, &later] {
        assert_eq!((reply.status, reply.body["failed"].as_array().unwrap().len()), (200, 0), "{reply:?}");
    }
    assert_eq!((sum("created"), sum("updated"), sum("services")), (400, 0, 400));
    assert_eq!(later.body["unchanged"], 400);
    assert_eq!(lab.get("/api/v1/customers?limit=1").await.body["total"], 401);
    assert_eq!(lab.get("/api/v1/services?limit=1").await.body["total"], 401);
    let made = |reply: &api_lab::Reply| reply.body["credentials"].as_array().unwrap().len();
    assert_eq!(made(&one) + made(&two), 400, "each password is shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gives_the_one_time_password_again_and_enters_nobody_twice() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let token = format!("Bearer {}", lab.token);
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "entering-ada-1"),
    ];
    let body = r#"{"first_name":"Ada","last_name":"Obi"}"#;
    let first = lab.send("POST", "/api/v1/customers", &headers, body).await;
    let second = lab.send("POST", "/api/v1/customers", &headers, body).await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.body["portal_password"], second.body["portal_password"]);
    assert_eq!(lab.get("/api/v1/customers").await.body["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_entered_at_the_same_time_get_numbers_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let body = r#"{"first_name":"Ada","last_name":"Obi"}"#;
    let one = || lab.call("POST", "/api/v1/customers", body);
    let (a, b, c) = tokio::join!(one(), one(), one());
    let mut numbers: Vec<_> = [a, b, c]
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 201, "{reply:?}");
            reply.body["customer_number"].as_str().unwrap().to_owned()
        })
        .collect();
    numbers.sort();
    assert_eq!(numbers, ["C-000001", "C-000002", "C-000003"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_sessions_and_logins_take_their_filters() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    for path in
        ["/api/v1/sessions?open=true", "/api/v1/sessions?username=ada", "/api/v1/auth-events?result=refuse"]
    {
        let listed = lab.get(path).await;
        assert_eq!((listed.status, &listed.body["total"]), (200, &0.into()), "{path}: {listed:?}");
    }
    assert_eq!(lab.get("/api/v1/sessions?customer_id=nobody").await.status, 404);
    assert_eq!(lab.get("/api/v1/sessions/none").await.status, 404);
    assert_eq!(lab.get("/api/v1/auth-events?result=maybe").await.status, 422);
    let cashier = format!("Bearer {}", lab.log_in("cashier@example.net").await);
    let denied = lab.send("GET", "/api/v1/nas-devices", &[("authorization", &cashier)], "").await;
    assert_eq!(denied.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_roster_is_taken_in_parts_that_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let mut roster = String::from("customer_number,name\n");
    for number in 0..5_003 {
        roster.push_str(&format!("Z{number},Ada Obi\n"));
    }
    let token = format!("Bearer {}", lab.token);
    let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
    let first = lab.send("POST", "/api/v1/customers/import", &headers, &roster).await;
    assert_eq!((&first.body["created"], &first.body["next_line"]), (&5_000.into(), &5_002.into()));
    let rest = lab.send("POST", "/api/v1/customers/import?from_line=5002", &headers, &roster).await;
    assert_eq!(rest.body["created"], 3, "{rest:?}");
    assert!(rest.body["next_line"].is_null());
    assert_eq!(lab.get("/api/v1/customers?limit=1").await.body["total"], 5_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_service_frees_its_login_and_addresses_and_keeps_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    lab.contract(1).await;
    let body = r#"{"customer_id":"N1","plan_code":"home-20","username":"ada","ipv4":"192.0.2.7",
        "ipv6_prefix":"2001:db8:7::/64","delegated_prefix":"2001:db8:70::/56"}"#;
    let first = lab.call("POST", "/api/v1/services", body).await;
    assert_eq!(first.status, 201, "{first:?}");
    let taken = lab.call("POST", "/api/v1/services", body).await;
    assert_eq!(taken.status, 409, "{taken:?}");

    let id = first.body["id"].as_str().unwrap();
    assert_eq!(lab.call("POST", &format!("/api/v1/services/{id}/terminate"), "").await.status, 200);
    let second = lab.call("POST", "/api/v1/services", body).await;
    assert_eq!(second.status, 201, "{second:?}");
    assert_eq!(lab.get("/api/v1/services/ada").await.body["id"], second.body["id"]);
    let ended = lab.get(&format!("/api/v1/services/{id}")).await;
    assert_eq!((&ended.body["username"], &ended.body["status"]), (&"ada".into(), &"ended".into()));
    assert_eq!(ended.body["ipv4"], "192.0.2.7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_address_belongs_to_one_live_service_even_when_two_ask_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    lab.contract(1).await;
    for (field, value) in
        [("ipv4", "192.0.2.7"), ("ipv6_prefix", "2001:db8:7::/64"), ("delegated_prefix", "2001:db8:70::/56")]
    {
        let ask = |login: &'static str| {
            let body = format!(
                r#"{{"customer_id":"N1","plan_code":"home-20","username":"{field}-{login}","{field}":"{value}"}}"#
            );
            let lab = &lab;
            async move { lab.call("POST", "/api/v1/services", &body).await }
        };
        let (a, b, c, d) = tokio::join!(ask("a"), ask("b"), ask("c"), ask("d"));
        let replies = [a, b, c, d, ask("e").await];
        let made = replies.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 1, "{field}: {replies:?}");
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            assert_eq!(reply.status, 409, "{reply:?}");
            assert!(reply.body["field_errors"][field].is_array(), "{reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_network_password_is_shown_once_and_audited_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (service, _) = lab.contract(1).await;
    let path = "/api/v1/services/n1/reset-password";

    let made = lab.call("POST", path, "").await;
    assert_eq!((made.status, &made.body["id"]), (200, &service.as_str().into()), "{made:?}");
    let password = made.body["network_password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 24);
    let given = lab.call("POST", path, r#"{"password":"old-router"}"#).await;
    assert_eq!(given.body["network_password"], "old-router", "{given:?}");
    assert_eq!(given.body["warnings"].as_array().unwrap().len(), 1, "it is short");
    assert!(!lab.get("/api/v1/services/n1").await.body.to_string().contains("old-router"));

    let short = lab.call("POST", path, r#"{"password":"abc"}"#).await;
    assert!(short.body["field_errors"]["password"].is_array(), "{short:?}");
    assert_eq!(lab.call("POST", path, r#"{"version":1}"#).await.status, 409);

    let audit = lab.store.scan::<tables::AuditLog>(Range::All, Page::first(100)).await.unwrap();
    let resets = audit.records.iter().filter(|one| one.body.action == "service.reset_password");
    assert_eq!(resets.count(), 2);
    let log = format!("{:?}", audit.records);
    assert!(!log.contains("old-router") && !log.contains(&password) && !log.contains("sealed"));

    lab.call("POST", "/api/v1/services/n1/terminate", "").await;
    assert_eq!(lab.call("POST", &format!("/api/v1/services/{service}/reset-password"), "").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_portal_password_is_shown_once_and_audited_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (_, customer) = lab.contract(1).await;
    let path = "/api/v1/customers/N1/reset-portal-password";

    let made = lab.call("POST", path, "").await;
    assert_eq!((made.status, &made.body["id"]), (200, &customer.as_str().into()), "{made:?}");
    let password = made.body["portal_password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 12);
    let given = lab.call("POST", path, r#"{"password":"market day pass"}"#).await;
    assert_eq!(given.body["portal_password"], "market day pass", "{given:?}");
    assert!(given.head.contains("etag: \"3\""), "{given:?}");

    let weak = lab.call("POST", path, r#"{"password":"password"}"#).await;
    assert_eq!(weak.status, 422);
    assert!(weak.body["field_errors"]["password"].is_array(), "{weak:?}");
    assert_eq!(lab.call("POST", path, r#"{"version":1}"#).await.status, 409);
    assert_eq!(lab.call("POST", "/api/v1/customers/none/reset-portal-password", "").await.status, 404);

    let audit = lab.store.scan::<tables::AuditLog>(Range::All, Page::first(100)).await.unwrap();
    let resets = audit.records.iter().filter(|one| one.body.action == "customer.reset_portal_password");
    assert_eq!(resets.count(), 2);
    let log = format!("{:?}", audit.records);
    assert!(!log.contains("market day pass") && !log.contains(&password) && !log.contains("argon2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_under_a_plan_that_requires_approval_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    let (_, customer) = lab.contract(1).await;
    let plan = r#"{"plan_code":"leased","name":"Leased","monthly_price":1,"download_speed":1,"upload_speed":1,
        "requires_approval":true}"#;
    assert_eq!(lab.call("POST", "/api/v1/service-plans", plan).await.status, 201);
    let body = r#"{"customer_id":"N1","plan_code":"leased","username":"line"}"#;
    let made = lab.call("POST", "/api/v1/services", body).await;
    assert_eq!(
        (&made.body["status"], &made.body["status_detail"]),
        (&"pending".into(), &"waits_for_approval".into())
    );
    assert!(made.body["reason"].as_str().unwrap().contains("waits for approval"), "{made:?}");

    let early = lab.call("POST", "/api/v1/services/line/provision", "").await;
    assert_eq!((early.status, &early.body["code"]), (422, &"business_rule_violation".into()));
    assert_eq!(early.body["message"], "The service waits for approval; approve it first.");
    let roster = "customer_number,name,plan_code\nB1,Bo Eze,leased\n";
    let token = format!("Bearer {}", lab.token);
    let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
    let imported = lab.send("POST", "/api/v1/customers/import", &headers, roster).await;
    assert_eq!(
        (&imported.body["created"], &imported.body["services"]),
        (&1.into(), &0.into()),
        "{imported:?}"
    );
    let status = lab.get("/api/v1/provisioning/status/B1").await;
    assert_eq!(status.body["status_message"], "A service waits for approval.", "{status:?}");

    let approved = lab.call("POST", "/api/v1/services/line/approve", "").await;
    assert_eq!(
        (approved.status, &approved.body["status_detail"]),
        (200, &"service_pending".into()),
        "{approved:?}"
    );
    assert!(approved.body["approved_at"].is_string());
    let again = lab.call("POST", "/api/v1/services/line/approve", "").await;
    assert_eq!(again.body["version"], approved.body["version"], "again changes nothing");
    assert_eq!(lab.call("POST", "/api/v1/services/line/provision", "").await.status, 202);
    lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    assert_eq!(lab.get("/api/v1/services/line").await.body["status"], "active");
    let listed = lab.get(&format!("/api/v1/audit?subject_id={}", made.body["id"].as_str().unwrap())).await;
    assert!(listed.body["items"].to_string().contains("service.approve"), "{customer}: {listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_listed_by_how_their_best_service_stands() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::open(dir.path()).await;
    for number in 1..=4 {
        lab.contract(number).await;
    }
    let second = r#"{"customer_id":"N3","plan_code":"home-20","username":"second"}"#;
    assert_eq!(lab.call("POST", "/api/v1/services", second).await.status, 201);
    for service in ["n2", "n3", "n4", "second"] {
        assert_eq!(lab.call("POST", &format!("/api/v1/services/{service}/provision"), "").await.status, 202);
    }
    lab.catalogue.provisioning.resume_open_tasks(&Clock::System).await.unwrap();
    for service in ["n2", "n3"] {
        assert_eq!(lab.call("POST", &format!("/api/v1/services/{service}/suspend"), "{}").await.status, 200);
    }
    assert_eq!(lab.call("DELETE", "/api/v1/customers/N4", "").await.status, 200);
    for (status, number) in [("new", "N1"), ("suspended", "N2"), ("active", "N3"), ("disabled", "N4")] {
        let listed = lab.get(&format!("/api/v1/customers?status={status}")).await;
        assert_eq!(
            (&listed.body["total"], &listed.body["items"][0]["customer_number"]),
            (&1.into(), &number.into())
        );
        assert_eq!(listed.body["items"][0]["status"], status);
    }
    assert_eq!(lab.get("/api/v1/customers?status=active&search=N1").await.body["total"], 0);
}
