//! Finds cycles in a graph.

use std::ops::ControlFlow;

use rustc_hash::{FxHashMap, FxHashSet};

/// Finds the strongly connected components that can be reached from these nodes, each after those that it leads to (Tarjan's
/// algorithm, without recursion). `next` are the nodes behind a node, `skip` says which of them do not count; `found` is given one
/// component after the other, and says when to stop.
pub fn components<'a>(
    starts: impl IntoIterator<Item = usize>,
    next: &dyn Fn(usize) -> &'a [usize],
    skip: &dyn Fn(usize) -> bool,
    found: &mut dyn FnMut(Vec<usize>) -> ControlFlow<()>,
) {
    let mut order: FxHashMap<usize, usize> = FxHashMap::default(); // node → order of discovery
    let mut low: FxHashMap<usize, usize> = FxHashMap::default();
    let mut complete: FxHashSet<usize> = FxHashSet::default();
    let mut stack = Vec::new();
    let mut path = Vec::new();
    for start in starts {
        if order.contains_key(&start) || skip(start) {
            continue;
        }
        order.insert(start, order.len());
        low.insert(start, order.len() - 1);
        stack.push(start);
        path.push((start, 0));
        while let Some((node, at)) = path.last_mut() {
            let node = *node;
            match next(node).get(*at).copied() {
                Some(other) => {
                    *at += 1;
                    if skip(other) || complete.contains(&other) {
                        continue;
                    }
                    match order.get(&other).copied() {
                        Some(first) => _ = low.entry(node).and_modify(|low| *low = first.min(*low)),
                        None => {
                            low.insert(other, order.len());
                            order.insert(other, order.len());
                            stack.push(other);
                            path.push((other, 0));
                        }
                    }
                }
                None => {
                    path.pop();
                    let own = low.get(&node).copied();
                    if own == order.get(&node).copied() {
                        let first = stack.iter().rposition(|other| *other == node).unwrap_or(0);
                        let component = stack.split_off(first);
                        complete.extend(component.iter().copied());
                        if found(component).is_break() {
                            return;
                        }
                    }
                    if let Some((parent, _)) = path.last() {
                        low.entry(*parent).and_modify(|low| *low = own.unwrap_or(*low).min(*low));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(arrows: &[&[usize]], skip: &[usize]) -> Vec<Vec<usize>> {
        let mut out = Vec::new();
        components(0..arrows.len(), &|node| arrows[node], &|node| skip.contains(&node), &mut |mut component| {
            component.sort_unstable();
            out.push(component);
            ControlFlow::Continue(())
        });
        out
    }

    #[test]
    fn circles_come_after_what_they_lead_to() {
        assert_eq!(all(&[&[1], &[2], &[]], &[]), [[2], [1], [0]]);
        assert_eq!(all(&[&[1], &[2, 3], &[0], &[4], &[3, 5], &[]], &[]), [vec![5], vec![3, 4], vec![0, 1, 2]]);
        // Two cycles with a node in common are one; what leads into a complete one is not part of it.
        assert_eq!(all(&[&[1], &[0, 2], &[1], &[0]], &[]), [vec![0, 1, 2], vec![3]]);
        assert_eq!(all(&[&[1], &[0, 2], &[1], &[0]], &[1]), [[0], [2], [3]]);
    }

    #[test]
    fn the_first_may_be_enough() {
        let arrows: [&[usize]; 3] = [&[1], &[2], &[1]];
        let mut found = Vec::new();
        components([0], &|node| arrows[node], &|_| false, &mut |component| {
            found.push(component);
            ControlFlow::Break(())
        });
        assert_eq!(found, [[1, 2]]);
    }
}
