//! Patterns of many subscribers as one index: what a look-up costs depends on the topic's segments, not on how many patterns
//! there are that do not match.

use std::collections::HashMap;

use super::{Pattern, Tail};

/// Who asks for a topic; `K` names the one who asks.
#[derive(Clone, Debug)]
pub struct Trie<K> {
    everything: Vec<K>,
    root: Node<K>,
}

/// Patterns with one prefix.
#[derive(Clone, Debug)]
struct Node<K> {
    children: HashMap<Box<str>, Self>,
    exact: Vec<K>,
    one_level: Vec<K>,
    self_or_below: Vec<K>,
    below: Vec<K>,
}

impl<K> Default for Trie<K> {
    fn default() -> Self {
        Self { everything: Vec::new(), root: Node::default() }
    }
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self { children: HashMap::new(), exact: Vec::new(), one_level: Vec::new(), self_or_below: Vec::new(), below: Vec::new() }
    }
}

impl<K: Copy + Eq> Trie<K> {
    /// Adds one who asks; who asks twice is found twice.
    pub fn insert(&mut self, pattern: &Pattern, key: K) {
        if pattern.tail == Tail::Everything {
            return self.everything.push(key);
        }
        let mut node = &mut self.root;
        for segment in segments(pattern) {
            node = node.children.entry(segment.into()).or_default();
        }
        node.keys(pattern.tail).push(key);
    }

    /// Takes one who asked out again.
    pub fn remove(&mut self, pattern: &Pattern, key: K) {
        if pattern.tail == Tail::Everything {
            return take(&mut self.everything, key);
        }
        self.root.remove(&segments(pattern).collect::<Vec<_>>(), pattern.tail, key);
    }

    /// Whether nobody asks for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.everything.is_empty() && self.root.is_empty()
    }

    /// Adds everybody who asks for this topic.
    pub fn find(&self, topic: &str, found: &mut Vec<K>) {
        found.extend(&self.everything);
        let (mut node, mut rest) = (&self.root, Some(topic));
        while let Some(text) = rest {
            let (segment, after) = text.split_once('.').map_or((text, None), |(segment, after)| (segment, Some(after)));
            let Some(next) = node.children.get(segment) else { return };
            next.find(after, found);
            (node, rest) = (next, after);
        }
    }
}

impl<K: Copy + Eq> Node<K> {
    fn keys(&mut self, tail: Tail) -> &mut Vec<K> {
        match tail {
            Tail::Everything | Tail::Exact => &mut self.exact,
            Tail::OneLevel => &mut self.one_level,
            Tail::SelfOrBelow => &mut self.self_or_below,
            Tail::Below => &mut self.below,
        }
    }

    /// Those whose prefix ends here, when `rest` of the topic follows.
    fn find(&self, rest: Option<&str>, found: &mut Vec<K>) {
        found.extend(&self.self_or_below);
        match rest {
            None => found.extend(&self.exact),
            Some(rest) => {
                found.extend(&self.below);
                if !rest.contains('.') {
                    found.extend(&self.one_level);
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        let lists = [&self.exact, &self.one_level, &self.self_or_below, &self.below];
        self.children.is_empty() && lists.iter().all(|list| list.is_empty())
    }

    /// Branches that nobody asks for any more go with the last who did.
    fn remove(&mut self, path: &[&str], tail: Tail, key: K) {
        let Some((first, rest)) = path.split_first() else { return take(self.keys(tail), key) };
        let Some(child) = self.children.get_mut(*first) else { return };
        child.remove(rest, tail, key);
        if child.is_empty() {
            self.children.remove(*first);
        }
    }
}

fn segments(pattern: &Pattern) -> impl Iterator<Item = &str> {
    pattern.prefix.strip_suffix('.').unwrap_or(&pattern.prefix).split('.')
}

fn take<K: Copy + Eq>(keys: &mut Vec<K>, key: K) {
    if let Some(place) = keys.iter().position(|one| *one == key) {
        keys.swap_remove(place);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(trie: &Trie<usize>, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        trie.find(topic, &mut found);
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn it_finds_what_a_loop_over_all_patterns_finds(
            patterns in prop::collection::vec("(\\*|>|[ab]{1,2}(\\.[ab]){0,3}(\\.\\*|\\.\\*\\*|\\.>)?)", 1..40),
            topics in prop::collection::vec("[ab]{1,2}(\\.[ab]){0,4}", 1..20),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
            let mut trie = Trie::default();
            patterns.iter().enumerate().for_each(|(key, pattern)| trie.insert(pattern, key));
            let mut left: std::collections::BTreeSet<usize> = (0..patterns.len()).collect();
            for index in gone {
                let key = index.index(patterns.len());
                if left.remove(&key) {
                    trie.remove(&patterns[key], key);
                }
            }
            for topic in &topics {
                let expected: Vec<_> = left.iter().copied().filter(|key| patterns[*key].matches(topic)).collect();
                prop_assert_eq!(found(&trie, topic), expected, "{}", topic);
            }
            left.iter().for_each(|key| trie.remove(&patterns[*key], *key));
            prop_assert!(trie.is_empty());
        }
    }
}
