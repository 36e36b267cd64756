//! Patterns of many subscribers as one index: what a look-up costs depends on the topic's segments, not on how many patterns
//! there are that do not match; nor does it matter to one who leaves how many ask for the same.

use std::collections::{BTreeSet, HashMap};

use super::{Pattern, Tail};

/// Who asks for a topic; `K` names the one who asks.
#[derive(Clone, Debug)]
pub struct Trie<K> {
    everything: BTreeSet<K>,
    root: Node<K>,
}

/// Patterns with one prefix.
#[derive(Clone, Debug)]
struct Node<K> {
    /// In boxes: a table has more places than entries.
    children: HashMap<Box<str>, Box<Self>>,
    exact: BTreeSet<K>,
    one_level: BTreeSet<K>,
    self_or_below: BTreeSet<K>,
    below: BTreeSet<K>,
}

impl<K> Default for Trie<K> {
    fn default() -> Self {
        Self { everything: BTreeSet::new(), root: Node::default() }
    }
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        let nobody = BTreeSet::new;
        Self { children: HashMap::new(), exact: nobody(), one_level: nobody(), self_or_below: nobody(), below: nobody() }
    }
}

impl<K: Copy + Ord> Trie<K> {
    /// Adds one who asks; who asks twice for the same is found once.
    pub fn insert(&mut self, pattern: &Pattern, key: K) {
        if pattern.tail == Tail::Everything {
            self.everything.insert(key);
            return;
        }
        let mut node = &mut self.root;
        for segment in segments(pattern) {
            node = node.children.entry(segment.into()).or_default();
        }
        node.keys(pattern.tail).insert(key);
    }

    /// Takes one who asked out again.
    pub fn remove(&mut self, pattern: &Pattern, key: K) {
        if pattern.tail == Tail::Everything {
            self.everything.remove(&key);
            return;
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

impl<K: Copy + Ord> Node<K> {
    fn keys(&mut self, tail: Tail) -> &mut BTreeSet<K> {
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
        let Some((first, rest)) = path.split_first() else {
            self.keys(tail).remove(&key);
            return;
        };
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    fn found(trie: &Trie<usize>, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        trie.find(topic, &mut found);
        found.sort_unstable();
        found
    }

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// One who asks, and counts how often it is told from another.
    #[derive(Clone, Copy, Debug)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Counted {}

    #[test]
    fn to_leave_costs_the_same_however_many_ask_for_the_same() {
        const COUNT: u32 = 20_000;
        for text in ["*", "a.b", "a.*", "a.**", "a.>"] {
            let (pattern, mut trie) = (Pattern::parse(text).unwrap(), Trie::default());
            (0..COUNT).for_each(|key| trie.insert(&pattern, Counted(key)));
            COMPARED.set(0);
            (0..COUNT).rev().for_each(|key| trie.remove(&pattern, Counted(key)));
            assert!(trie.is_empty());
            let each = COMPARED.get() / u64::from(COUNT);
            assert!(each < 100, "{text}: {each} comparisons to take one of {COUNT} out");
        }
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
            let mut left: BTreeSet<usize> = (0..patterns.len()).collect();
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
