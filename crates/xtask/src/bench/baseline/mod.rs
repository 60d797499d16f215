//! What others cost: the least that an exchange can cost, and programs that people know.

pub(super) mod echo;
pub(super) mod nginx;
pub(super) mod ping_pong;
pub(super) mod ssh_agent;
