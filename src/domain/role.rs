//! Roles and what each may do. Default deny: what is not listed is refused.
//!
//! A program has no role: it has the scopes of its key, which are permissions too.

use serde::{Deserialize, Serialize};

/// A role of staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The ISP's owner: everything.
    Owner,
    /// Everything but other owners.
    Admin,
    /// Customers and their money; no adjustments, no large refunds, no catalogue.
    Cashier,
    /// Sells vouchers from an own float; sees own sales only.
    Agent,
    /// NAS, sessions, diagnosis; no money at all.
    Technician,
    /// Reads everything, changes nothing.
    Auditor,
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)+) => {
        /// One thing that can be done. A name that ends in `:read` reads; every other one changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Permission {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl Permission {
            /// All permissions.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the API (`users:read` …).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

permissions! {
    /// List and read staff accounts.
    UsersRead = "users:read";
    /// Create, change and remove staff accounts.
    UsersWrite = "users:write";
    /// List and read customers.
    CustomersRead = "customers:read";
    /// Create, change and close customers.
    CustomersWrite = "customers:write";
    /// Read the catalogue beyond its public part.
    PlansRead = "plans:read";
    /// Create and change plans.
    PlansWrite = "plans:write";
    /// Read services and provisioning.
    ServicesRead = "services:read";
    /// Create, provision, suspend, resume and end services.
    ServicesWrite = "services:write";
    /// Read NAS records (never their secrets).
    NasRead = "nas:read";
    /// Create, change and remove NAS records.
    NasWrite = "nas:write";
    /// Read live and past sessions, and why logins were refused.
    SessionsRead = "sessions:read";
    /// Disconnect sessions.
    SessionsWrite = "sessions:write";
    /// Read the audit log.
    AuditRead = "audit:read";
    /// Read the system's state: licence, health.
    SystemRead = "system:read";
    /// Back up, check the store, reload the configuration.
    SystemWrite = "system:write";
    /// Read payments, orders and receipts.
    PaymentsRead = "payments:read";
    /// Take payments: cash, transfers, an order paid from a wallet; match what came in.
    PaymentsWrite = "payments:write";
    /// Give money back, up to the site's limit.
    RefundsWrite = "refunds:write";
    /// Give money back beyond that limit.
    RefundsLarge = "refunds:large";
    /// Read invoices, credit notes and statements.
    InvoicesRead = "invoices:read";
    /// Draft, finalise, correct and void invoices.
    InvoicesWrite = "invoices:write";
    /// Read coupons and how often they were taken.
    CouponsRead = "coupons:read";
    /// Make, change and remove coupons.
    CouponsWrite = "coupons:write";
    /// Read how services are paid for.
    SubscriptionsRead = "subscriptions:read";
    /// Renew, pause, change how a service is paid for.
    SubscriptionsWrite = "subscriptions:write";
    /// Move money without a payment: wallet adjustments, write-offs.
    WalletsAdjust = "wallets:adjust";
    /// Start, stop and confirm runs of billing and dunning; close a day.
    BillingRun = "billing:run";
    /// Read the ledger, its balances and its proofs.
    LedgerRead = "ledger:read";
    /// Read voucher batches and vouchers (never their codes).
    VouchersRead = "vouchers:read";
    /// Make, print and revoke voucher batches.
    VouchersWrite = "vouchers:write";
    /// Sell vouchers from one's own float or till; open and close one's own shift.
    VouchersSell = "vouchers:sell";
    /// Read one's own float, sales and shifts.
    SalesRead = "own-sales:read";
    /// Read all agents, their floats, sales and shifts.
    AgentsRead = "agents:read";
    /// Make agents, set their commission, book deposits and pay-outs.
    AgentsWrite = "agents:write";
    /// Read programs' keys (never the keys themselves).
    ApiKeysRead = "api-keys:read";
    /// Make and revoke programs' keys.
    ApiKeysWrite = "api-keys:write";
    /// Read webhook endpoints and what was delivered.
    WebhooksRead = "webhooks:read";
    /// Make, change and remove webhook endpoints; deliver again.
    WebhooksWrite = "webhooks:write";
    /// Bring customers, plans and balances in from another system.
    ImportsWrite = "imports:write";
    /// Read templates, and what was sent to whom.
    MessagesRead = "messages:read";
    /// Change templates, send messages and tests.
    MessagesWrite = "messages:write";
    /// Read the business's settings.
    SettingsRead = "settings:read";
    /// Change the business's settings.
    SettingsWrite = "settings:write";
}

impl Permission {
    /// The permission of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn only_reads(self) -> bool {
        self.name().ends_with(":read")
    }

    /// Whether a program's key may have it. People and keys are managed by people: a stolen key must not
    /// be able to make itself another.
    #[must_use]
    pub fn is_for_programs(self) -> bool {
        !matches!(self, Self::UsersWrite | Self::ApiKeysRead | Self::ApiKeysWrite | Self::SystemWrite)
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Admin, Self::Cashier, Self::Agent, Self::Technician, Self::Auditor];

    /// The name in API, CLI and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Cashier => "cashier",
            Self::Agent => "agent",
            Self::Technician => "technician",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether this role may do that.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Cashier => CASHIER.contains(&permission),
            Self::Agent => AGENT.contains(&permission),
            Self::Technician => TECHNICIAN.contains(&permission),
            Self::Auditor => permission.only_reads(),
        }
    }

    /// Whether this role may give `other` to somebody, or change somebody who has it. Nobody
    /// raises anybody above themselves.
    #[must_use]
    pub fn may_manage(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => other != Self::Owner,
            Self::Cashier | Self::Agent | Self::Technician | Self::Auditor => false,
        }
    }

    /// Whether it touches money or secrets, so that a second factor is asked of whoever has it.
    #[must_use]
    pub const fn needs_second_factor(self) -> bool {
        match self {
            Self::Owner | Self::Admin | Self::Cashier => true,
            Self::Agent | Self::Technician | Self::Auditor => false,
        }
    }
}

const CASHIER: &[Permission] = &[
    Permission::CustomersRead,
    Permission::CustomersWrite,
    Permission::PlansRead,
    Permission::ServicesRead,
    Permission::ServicesWrite,
    Permission::SessionsRead,
    Permission::PaymentsRead,
    Permission::PaymentsWrite,
    Permission::RefundsWrite,
    Permission::InvoicesRead,
    Permission::InvoicesWrite,
    Permission::CouponsRead,
    Permission::SubscriptionsRead,
    Permission::SubscriptionsWrite,
    Permission::VouchersRead,
    Permission::VouchersSell,
    Permission::SalesRead,
    Permission::MessagesRead,
];

const AGENT: &[Permission] = &[Permission::PlansRead, Permission::VouchersSell, Permission::SalesRead];

const TECHNICIAN: &[Permission] = &[
    Permission::CustomersRead,
    Permission::PlansRead,
    Permission::ServicesRead,
    Permission::NasRead,
    Permission::NasWrite,
    Permission::SessionsRead,
    Permission::SessionsWrite,
    Permission::SystemRead,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_reads_everything_and_changes_nothing() {
        for permission in Permission::ALL {
            assert_eq!(Role::Auditor.may(*permission), permission.name().ends_with(":read"));
        }
    }

    #[test]
    fn only_an_owner_manages_owners() {
        assert!(Role::Owner.may_manage(Role::Owner));
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Owner) {
            assert!(!role.may_manage(Role::Owner), "{role:?}");
        }
    }

    #[test]
    fn a_technician_has_nothing_to_do_with_money_and_an_agent_only_with_their_own() {
        let money = [
            "payments",
            "refunds",
            "invoices",
            "coupons",
            "subscriptions",
            "wallets",
            "billing",
            "ledger",
            "vouchers",
            "own-sales",
            "agents",
        ];
        let about_money = |permission: &&Permission| {
            money.iter().any(|word| permission.name().split(':').next() == Some(*word))
        };
        let may = |role: Role| Permission::ALL.iter().filter(about_money).filter(move |one| role.may(**one));
        assert_eq!(may(Role::Technician).count(), 0);
        let agent: Vec<_> = may(Role::Agent).map(|one| one.name()).collect();
        assert_eq!(agent, ["vouchers:sell", "own-sales:read"]);
        for denied in [
            Permission::RefundsLarge,
            Permission::WalletsAdjust,
            Permission::PlansWrite,
            Permission::CouponsWrite,
            Permission::LedgerRead,
            Permission::BillingRun,
            Permission::ApiKeysWrite,
        ] {
            assert!(!Role::Cashier.may(denied), "{denied:?}");
        }
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.name()), Some(*permission));
            let json = serde_json::to_string(permission).unwrap();
            assert_eq!(json, format!("{:?}", permission.name()));
        }
    }
}
