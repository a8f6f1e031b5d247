//! The calls of a group member. Their order is the member's business; see `rivvend/src/group_coordinator.rs`.
//!
//! A join never waits for other members, and each join replaces the barrier at which earlier `sync_group`
//! calls wait, which then hang for 30 s. So a follower polls `heartbeat` until it answers 0, and syncs only
//! then; the leader syncs right after it joined.

use rivven_protocol::{Request, Response, SyncGroupAssignments};

use super::{unexpected, Client, Repeat};
use crate::error::Result;

/// Answer to a join.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Generation to name in later calls.
    pub generation: u32,
    /// Our id, assigned if we had none.
    pub member_id: String,
    /// Who computes the assignment.
    pub leader_id: String,
    /// Members known so far and the topics that they want.
    pub members: Vec<(String, Vec<String>)>,
}

impl Client {
    /// Joins a group; with an empty `member_id` as a new member. Not repeated when the answer is lost: that
    /// would leave a member behind that nobody plays.
    pub fn join_group(
        &self,
        group: &str,
        member_id: &str,
        session_timeout_ms: u32,
        rebalance_timeout_ms: u32,
        topics: Vec<String>,
    ) -> Result<Joined> {
        let request = Request::JoinGroup {
            group_id: group.to_owned(),
            member_id: member_id.to_owned(),
            session_timeout_ms,
            rebalance_timeout_ms,
            protocol_type: "consumer".to_owned(),
            subscriptions: topics,
        };
        let repeat = if member_id.is_empty() { Repeat::Unsafe } else { Repeat::Safe };
        match self.request(&request, repeat)? {
            Response::JoinGroupResult { generation_id, member_id, leader_id, members, .. } => {
                Ok(Joined { generation: generation_id, member_id, leader_id, members })
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Hands in the assignments (leader) or none (follower), and returns our own.
    pub fn sync_group(
        &self,
        group: &str,
        generation: u32,
        member_id: &str,
        assignments: SyncGroupAssignments,
    ) -> Result<Vec<(String, Vec<u32>)>> {
        let request = Request::SyncGroup {
            group_id: group.to_owned(),
            generation_id: generation,
            member_id: member_id.to_owned(),
            assignments,
        };
        match self.request(&request, Repeat::Safe)? {
            Response::SyncGroupResult { assignments } => Ok(assignments),
            other => Err(unexpected(&other)),
        }
    }

    /// Says that the member is alive; 0 is "stable", 27 "a rebalance is under way".
    pub fn heartbeat(&self, group: &str, generation: u32, member_id: &str) -> Result<i32> {
        let request = Request::Heartbeat {
            group_id: group.to_owned(),
            generation_id: generation,
            member_id: member_id.to_owned(),
        };
        match self.request(&request, Repeat::Safe)? {
            Response::HeartbeatResult { error_code } => Ok(error_code),
            other => Err(unexpected(&other)),
        }
    }

    /// Leaves a group; the last member's leaving deletes it.
    pub fn leave_group(&self, group: &str, member_id: &str) -> Result<()> {
        let request = Request::LeaveGroup { group_id: group.to_owned(), member_id: member_id.to_owned() };
        match self.request(&request, Repeat::Unsafe)? {
            Response::LeaveGroupResult => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
