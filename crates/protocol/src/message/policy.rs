//! Who may have a client's token, and why.

use bincode::{Decode, Encode};

/// Whom a question about the policy is about.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Whom {
    /// The process that has this number where the daemon runs.
    Process(u32),
    /// The user with this name or number, with the groups that the user database has.
    User(String),
}

/// What the rules of a client come to for somebody. No text in it holds what a terminal would act on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Policy {
    /// The client's name.
    pub client: String,
    /// Effective user ID.
    pub uid: u32,
    /// The process that was asked about.
    pub pid: Option<u32>,
    /// The system unit that the process is in, if there is one that counts.
    pub unit: Option<String>,
    /// The unit of its own user's manager, if there is one that counts.
    pub user_unit: Option<String>,
    /// Whether all of the client's token is permitted.
    pub whole: Holds,
    /// Whether at least a part of it is.
    pub some: Holds,
    /// The rules, in the order of the configuration.
    pub rules: Vec<PolicyRule>,
    /// How many rules there are besides: all would not fit a message.
    pub more_rules: u64,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A rule and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PolicyRule {
    /// As in the configuration.
    pub rule: String,
    /// Whether all its conditions hold.
    pub holds: Holds,
    /// The part of the client's token that it permits, if that is not all of it.
    pub part: Option<String>,
    /// Its conditions.
    pub conditions: Vec<PolicyCondition>,
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PolicyCondition {
    /// Whether it holds.
    pub holds: Holds,
    /// Why.
    pub why: String,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Holds {
    /// It does not.
    No,
    /// For some processes of the user it may.
    Depends,
    /// It does.
    Yes,
}
