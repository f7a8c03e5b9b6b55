//! Provisioning: how a contract becomes a working service, as a state machine.
//!
//! `Completed` is reached only when enforcement has proof, or when nothing needs enforcing yet
//! (no session is open, so the next login simply gets the new answer). Each step is safe to
//! repeat; a task that cannot go on says why and what would let it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{ServiceId, SubscriberId, TaskId};

/// One attempt to bring a service to life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisioningTask {
    /// Identity.
    pub id: TaskId,
    /// Which service.
    pub service_id: ServiceId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// How far it is.
    pub state: TaskState,
    /// What it waits for, or why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Asked for.
    Pending,
    /// Checking that the contract can be carried out.
    Validating,
    /// Giving it addresses and credentials.
    AllocatingResources,
    /// Writing what the network will be told.
    ConfiguringEquipment,
    /// Waiting for proof that the network does it.
    ActivatingService,
    /// Done, with proof.
    Completed,
    /// Not possible; the detail says why.
    Failed,
}

/// What enforcement can show for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// No session is open anywhere: the next login gets the new answer.
    NothingToEnforce,
    /// What is open already runs under the new answer.
    InForce,
    /// Something still runs under an old answer.
    Owed {
        /// What, for people.
        what: String,
    },
}

impl TaskState {
    /// The name in API and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Validating => "validating",
            Self::AllocatingResources => "allocating_resources",
            Self::ConfiguringEquipment => "configuring_equipment",
            Self::ActivatingService => "activating_service",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// How much is done, for a progress bar.
    #[must_use]
    pub const fn percent(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Validating => 20,
            Self::AllocatingResources => 40,
            Self::ConfiguringEquipment => 60,
            Self::ActivatingService => 80,
            Self::Completed | Self::Failed => 100,
        }
    }

    /// Whether the task has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// The state after this one when its step went well; `proof` matters to the last step only.
    #[must_use]
    pub const fn after(self, proof: &Proof) -> Self {
        match self {
            Self::Pending => Self::Validating,
            Self::Validating => Self::AllocatingResources,
            Self::AllocatingResources => Self::ConfiguringEquipment,
            Self::ConfiguringEquipment => Self::ActivatingService,
            Self::ActivatingService => match proof {
                Proof::NothingToEnforce | Proof::InForce => Self::Completed,
                Proof::Owed { .. } => Self::ActivatingService,
            },
            Self::Completed => Self::Completed,
            Self::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_completes_only_with_proof() {
        let owed = Proof::Owed { what: "an old session".into() };
        let mut state = TaskState::Pending;
        for _ in 0..10 {
            state = state.after(&owed);
        }
        assert_eq!(state, TaskState::ActivatingService);
        assert_eq!(state.after(&Proof::NothingToEnforce), TaskState::Completed);
        assert_eq!(TaskState::Failed.after(&Proof::InForce), TaskState::Failed);
    }
}
