//! Stacks of VLAN tags and how to get from one to another.
//!
//! A stack is written bottom first: `[inner, outer]`. Tags of the customer's own below it are payload and never touched.

use skerry_bus::ids::Endpoint;
use skerry_bus::objects::Action;

use crate::layout::VLAN_ETHER_TYPE;

/// The tags that mark an endpoint on the wire, bottom first.
pub fn tags_of(endpoint: &Endpoint) -> Vec<u16> {
    let e = endpoint.normalised();
    match (e.inner_vlan, e.vlan) {
        (_, 0) => vec![],
        (0, outer) => vec![outer],
        (inner, outer) => vec![inner, outer],
    }
}

/// What is left of an endpoint's tags after the pre-ingress table took the outer one off.
pub fn tags_after_pre_ingress(endpoint: &Endpoint) -> Vec<u16> {
    let mut tags = tags_of(endpoint);
    tags.pop();
    tags
}

/// The actions that turn the stack `current` into `target`: an equal bottom is kept, one tag is changed in
/// place where that is possible, the rest is popped or pushed.
pub fn rewrite(current: &[u16], target: &[u16]) -> Vec<Action> {
    let same = current.iter().zip(target).take_while(|(a, b)| a == b).count();
    let mut actions = Vec::new();
    let mut done = same;
    let differing = &current[same..];
    if let (Some(want), false) = (target.get(same), differing.is_empty()) {
        actions.extend(differing[1..].iter().map(|_| Action::PopVlan));
        actions.push(Action::SetVlan(*want));
        done += 1;
    } else {
        actions.extend(differing.iter().map(|_| Action::PopVlan));
    }
    for tag in &target[done..] {
        actions.push(Action::PushVlan(VLAN_ETHER_TYPE));
        actions.push(Action::SetVlan(*tag));
    }
    actions
}

/// Cuts an ordered list of tag actions into action sets, to be done one after the other. A bucket is an action
/// set: whatever the order written, it pops, then pushes, then sets (OpenFlow 1.3.5 section 5.10), and keeps
/// one action of each kind.
pub fn action_sets(actions: Vec<Action>) -> Vec<Vec<Action>> {
    let rank = |a: &Action| match a {
        Action::PopVlan => 0,
        Action::PushVlan(_) => 1,
        _ => 2,
    };
    let mut sets: Vec<Vec<Action>> = Vec::new();
    for action in actions {
        match sets.last_mut() {
            Some(set) if set.last().is_some_and(|last| rank(last) < rank(&action)) => set.push(action),
            _ => sets.push(vec![action]),
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{PopVlan, PushVlan, SetVlan};

    const PUSH: Action = PushVlan(VLAN_ETHER_TYPE);

    fn run(stack: &[u16], actions: &[Action]) -> Vec<u16> {
        let mut stack = stack.to_vec();
        for a in actions {
            match a {
                PopVlan => assert!(stack.pop().is_some(), "pop of nothing"),
                PushVlan(_) => stack.push(0),
                SetVlan(v) => *stack.last_mut().expect("a tag to set") = *v,
                other => panic!("{other:?}"),
            }
        }
        stack
    }

    #[test]
    fn the_usual_rewritings_take_the_fewest_actions() {
        assert_eq!(rewrite(&[], &[9]), [PUSH, SetVlan(9)]);
        assert_eq!(rewrite(&[5], &[9]), [SetVlan(9)]);
        assert_eq!(rewrite(&[9], &[]), [PopVlan]);
        assert_eq!(rewrite(&[9], &[5, 6]), [SetVlan(5), PUSH, SetVlan(6)]);
        assert_eq!(rewrite(&[5], &[5, 6]), [PUSH, SetVlan(6)]);
        assert_eq!(rewrite(&[5, 6], &[5, 7]), [SetVlan(7)]);
        assert_eq!(rewrite(&[5, 6], &[7]), [PopVlan, SetVlan(7)]);
    }

    #[test]
    fn every_stack_becomes_every_other_with_at_most_two_action_sets() {
        let stacks: Vec<Vec<u16>> = vec![
            vec![],
            vec![1],
            vec![2],
            vec![3],
            vec![1, 2],
            vec![2, 1],
            vec![1, 1],
            vec![3, 2],
            vec![3, 4],
        ];
        for a in &stacks {
            for b in &stacks {
                let actions = rewrite(a, b);
                assert_eq!(run(a, &actions), *b, "{a:?} -> {b:?}: {actions:?}");
                let sets = action_sets(actions.clone());
                assert!(sets.len() <= 2, "{a:?} -> {b:?}: {sets:?}");
                assert_eq!(sets.concat(), actions);
            }
        }
    }
}
