//! Who may write: the roles of a switch's controllers and the generation id (OpenFlow 1.3.5 section 6.3.6).
//!
//! ```text
//!            EQUAL --MASTER(g)--> MASTER --another becomes MASTER--> SLAVE
//!              ^                    |                                  |
//!              +------ EQUAL -------+-------------- EQUAL -------------+       SLAVE(g) from any, NOCHANGE stays
//! ```
//!
//! The number outlives connections and is forgotten when the switch restarts, which a simulated one never does.

use std::collections::BTreeMap;

use ofproto::{ControllerRole, RoleMsg, RoleRequestFailedCode};

use super::{ConnId, Refusal};

/// The generation id that stands for "none yet" in answers.
const NONE: u64 = u64::MAX;

/// Roles of all connections.
#[derive(Debug, Default)]
pub struct Roles {
    generation: Option<u64>,
    of: BTreeMap<ConnId, ControllerRole>,
}

impl Roles {
    /// A new connection: it may write until it says otherwise.
    pub fn connected(&mut self, conn: ConnId) {
        self.of.insert(conn, ControllerRole::EQUAL);
    }

    /// A connection is gone, and its role with it.
    pub fn closed(&mut self, conn: ConnId) {
        self.of.remove(&conn);
    }

    /// The role of a connection; one that is not known may do nothing, as a slave.
    pub fn of(&self, conn: ConnId) -> ControllerRole {
        self.of.get(&conn).copied().unwrap_or(ControllerRole::SLAVE)
    }

    /// The number of the last accepted request; all ones if there was none.
    pub fn generation(&self) -> u64 {
        self.generation.unwrap_or(NONE)
    }

    /// A role is asked. Gives the answer, and the connection that is master no longer.
    ///
    /// # Errors
    /// STALE for an older number, BAD_ROLE for a role that does not exist; nothing is changed then.
    pub fn request(&mut self, conn: ConnId, asked: &RoleMsg) -> Result<(RoleMsg, Option<ConnId>), Refusal> {
        let mut demoted = None;
        match asked.role {
            ControllerRole::NOCHANGE => {}
            // The number says nothing for EQUAL.
            ControllerRole::EQUAL => {
                self.of.insert(conn, ControllerRole::EQUAL);
            }
            ControllerRole::MASTER | ControllerRole::SLAVE => {
                // "distance(GEN_ID_X, cached) < 0" with the difference as a signed number, so that it may wrap.
                let older = |known| (asked.generation_id.wrapping_sub(known) as i64) < 0;
                if self.generation.is_some_and(older) {
                    return Err(Refusal::role(RoleRequestFailedCode::STALE));
                }
                self.generation = Some(asked.generation_id);
                if asked.role == ControllerRole::MASTER {
                    let other = self.of.iter_mut();
                    let master = other.filter(|(id, role)| **id != conn && **role == ControllerRole::MASTER);
                    for (id, role) in master {
                        *role = ControllerRole::SLAVE;
                        demoted = Some(*id);
                    }
                }
                self.of.insert(conn, asked.role);
            }
            _ => return Err(Refusal::role(RoleRequestFailedCode::BAD_ROLE)),
        }
        let answer = RoleMsg {
            role: self.of(conn),
            generation_id: self.generation(),
        };
        Ok((answer, demoted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ControllerRole as R;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);
    const OLD: u64 = 6;
    const SAME: u64 = 7;
    const NEW: u64 = 8;

    fn ask(roles: &mut Roles, conn: ConnId, role: R, generation_id: u64) -> Result<(RoleMsg, Option<ConnId>), Refusal> {
        roles.request(conn, &RoleMsg { role, generation_id })
    }

    /// A with a role, B as MASTER or not, generation 7.
    fn start(a: R, b_is_master: bool) -> Roles {
        let mut roles = Roles {
            generation: Some(SAME),
            of: BTreeMap::from([(A, a), (B, R::EQUAL)]),
        };
        if b_is_master {
            roles.of.insert(B, R::MASTER);
        }
        roles
    }

    #[test]
    fn the_whole_table_of_roles_requests_and_numbers() {
        let all = [R::EQUAL, R::MASTER, R::SLAVE];
        for held in all {
            for b_is_master in [false, true] {
                // There is one master.
                if held == R::MASTER && b_is_master {
                    continue;
                }
                for asked in [R::NOCHANGE, R::EQUAL, R::MASTER, R::SLAVE, R(17)] {
                    for number in [OLD, SAME, NEW] {
                        let mut roles = start(held, b_is_master);
                        let answer = ask(&mut roles, A, asked, number);
                        let numbered = asked == R::MASTER || asked == R::SLAVE;
                        let (role, generation, b) = match asked {
                            R::NOCHANGE => (held, SAME, b_is_master),
                            R::EQUAL => (R::EQUAL, SAME, b_is_master),
                            R::MASTER if number != OLD => (R::MASTER, number, false),
                            R::SLAVE if number != OLD => (R::SLAVE, number, b_is_master),
                            _ => (held, SAME, b_is_master),
                        };
                        let case = format!("{held} {b_is_master} {asked} {number}");
                        assert_eq!(roles.of(A), role, "{case}");
                        assert_eq!(roles.generation(), generation, "{case}");
                        assert_eq!(roles.of(B) == R::MASTER, b, "{case}");
                        match answer {
                            Ok((answer, demoted)) => {
                                assert!(asked != R(17) && !(numbered && number == OLD), "{case}");
                                assert_eq!((answer.role, answer.generation_id), (role, generation), "{case}");
                                assert_eq!(demoted, (b_is_master && !b).then_some(B), "{case}");
                            }
                            Err(refusal) if asked == R(17) => {
                                assert_eq!(refusal, Refusal::role(RoleRequestFailedCode::BAD_ROLE));
                            }
                            Err(refusal) => {
                                assert!(numbered && number == OLD, "{case}");
                                assert_eq!(refusal, Refusal::role(RoleRequestFailedCode::STALE), "{case}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_number_is_all_ones_and_the_first_one_may_be_any() {
        for first in [0, 1, u64::MAX, 1 << 63] {
            let mut roles = Roles::default();
            roles.connected(A);
            let (answer, _) = ask(&mut roles, A, R::NOCHANGE, 5).expect("it only asks");
            assert_eq!((answer.role, answer.generation_id), (R::EQUAL, u64::MAX));
            ask(&mut roles, A, R::SLAVE, first).expect("nothing is older than nothing");
            assert_eq!(roles.generation(), first);
        }
    }

    #[test]
    fn the_number_may_wrap_and_outlives_its_connection() {
        let mut roles = Roles::default();
        roles.connected(A);
        ask(&mut roles, A, R::MASTER, u64::MAX).expect("first");
        roles.closed(A);
        roles.connected(B);
        assert!(ask(&mut roles, B, R::MASTER, u64::MAX - 1).is_err(), "older");
        let (answer, demoted) = ask(&mut roles, B, R::MASTER, 3).expect("newer, over the end");
        assert_eq!((answer.role, answer.generation_id, demoted), (R::MASTER, 3, None));
        assert_eq!(roles.of(A), R::SLAVE, "a connection that is gone may not write");
    }
}
