//! Roles and what each may do. Default deny: what is not listed is refused.

use serde::{Deserialize, Serialize};

/// A role of staff or of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The ISP's owner: everything.
    Owner,
    /// Everything but other owners.
    Admin,
    /// Customers and their money.
    Cashier,
    /// NAS, sessions, diagnosis.
    Technician,
    /// Reads everything, changes nothing.
    Auditor,
}

/// One thing that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// List and read staff accounts.
    UsersRead,
    /// Create, change and remove staff accounts.
    UsersWrite,
    /// List and read customers.
    CustomersRead,
    /// Create, change and close customers.
    CustomersWrite,
    /// Read the catalogue beyond its public part.
    PlansRead,
    /// Create and change plans.
    PlansWrite,
    /// Read services and provisioning.
    ServicesRead,
    /// Create, provision, suspend, resume and end services.
    ServicesWrite,
    /// Read NAS records (never their secrets).
    NasRead,
    /// Create, change and remove NAS records.
    NasWrite,
    /// Read live and past sessions, and why logins were refused.
    SessionsRead,
    /// Disconnect sessions.
    SessionsWrite,
    /// Read the audit log.
    AuditRead,
    /// Read the system's state: licence, health, settings.
    SystemRead,
    /// Back up, check the store, reload the configuration.
    SystemWrite,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 15] = [
        Self::UsersRead,
        Self::UsersWrite,
        Self::CustomersRead,
        Self::CustomersWrite,
        Self::PlansRead,
        Self::PlansWrite,
        Self::ServicesRead,
        Self::ServicesWrite,
        Self::NasRead,
        Self::NasWrite,
        Self::SessionsRead,
        Self::SessionsWrite,
        Self::AuditRead,
        Self::SystemRead,
        Self::SystemWrite,
    ];

    /// The name in the API (`users:read` …).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::CustomersRead => "customers:read",
            Self::CustomersWrite => "customers:write",
            Self::PlansRead => "plans:read",
            Self::PlansWrite => "plans:write",
            Self::ServicesRead => "services:read",
            Self::ServicesWrite => "services:write",
            Self::NasRead => "nas:read",
            Self::NasWrite => "nas:write",
            Self::SessionsRead => "sessions:read",
            Self::SessionsWrite => "sessions:write",
            Self::AuditRead => "audit:read",
            Self::SystemRead => "system:read",
            Self::SystemWrite => "system:write",
        }
    }
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Cashier, Self::Technician, Self::Auditor];

    /// The name in API, CLI and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Cashier => "cashier",
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
            Self::Technician => TECHNICIAN.contains(&permission),
            Self::Auditor => AUDITOR.contains(&permission),
        }
    }

    /// Whether this role may give `other` to somebody, or change somebody who has it. Nobody
    /// raises anybody above themselves.
    #[must_use]
    pub fn may_manage(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => other != Self::Owner,
            Self::Cashier | Self::Technician | Self::Auditor => false,
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
];

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

const AUDITOR: &[Permission] = &[
    Permission::UsersRead,
    Permission::CustomersRead,
    Permission::PlansRead,
    Permission::ServicesRead,
    Permission::NasRead,
    Permission::SessionsRead,
    Permission::AuditRead,
    Permission::SystemRead,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_changes_nothing() {
        for permission in Permission::ALL {
            assert!(!Role::Auditor.may(permission) || permission.name().ends_with(":read"));
        }
    }

    #[test]
    fn only_an_owner_manages_owners() {
        assert!(Role::Owner.may_manage(Role::Owner));
        for role in [Role::Admin, Role::Cashier, Role::Technician, Role::Auditor] {
            assert!(!role.may_manage(Role::Owner), "{role:?}");
        }
    }
}
