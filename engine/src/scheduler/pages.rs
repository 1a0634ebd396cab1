//! Who holds which KV page, and which prompts share one.
//!
//! A page of a prompt whose tokens, and all tokens before them, equal those of an earlier prompt holds the same bits, since a
//! row depends on its own sequence alone: it is computed once and lent to all; who comes while it is being computed waits for
//! it. The page in which two prompts part is only equal at its beginning; the later prompt copies it, if it is there by
//! then, and goes on in the copy. Pages of prompts that are done stay for a while, the least recently used go first. Sharing
//! changes how much is computed, never what.
//!
//! A sequence that fails in the middle of its prompt leaves pages behind that nobody computes any more. Who waits for them, or
//! is lent them later, computes them itself: the failure of one sequence is not that of another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Fewest tokens that make a copy of a page worth its bytes.
const COPIED: usize = 4;
/// Pages that are kept for prompts to come, at least; beyond it a quarter of the most that were ever in use.
const KEPT: usize = 128;

/// A page with tokens of a prompt that others may share, fewer than it takes where the prompt ends in it. `parent` is the page
/// of the tokens before.
struct Shared {
    parent: Option<u32>,
    tokens: Box<[u32]>,
    /// Sequences that hold it.
    users: usize,
    /// Pages whose parent it is.
    children: usize,
    /// Whether its keys and values are computed.
    ready: bool,
    /// Whether a sequence is at them.
    computing: bool,
    /// When it was last given back.
    used: u64,
}

/// The pages of one sequence.
#[derive(Debug)]
pub struct Lease {
    /// All its pages, in order of position.
    pub pages: Vec<u32>,
    /// Leading pages that are lent.
    lent: usize,
    /// Leading pages that others may share, lent ones and own ones.
    open: usize,
    /// Tokens of the prompt.
    prompt: usize,
    /// What stands before its first page.
    root: Option<u32>,
}

/// What stands before the first page of sequences that turn alike ([`crate::scheduler::backend::Backend::rotation`]): nothing, or a
/// number that no page has, so that only they share.
fn root(rotation: usize) -> Option<u32> {
    (rotation > 0).then(|| u32::MAX - u32::try_from(rotation).unwrap_or(u32::MAX))
}

/// All pages of a cache.
pub struct Pages {
    page_tokens: usize,
    sharing: bool,
    free: BTreeSet<u32>,
    shared: HashMap<u32, Shared>,
    /// Shared pages by the page before them and their tokens.
    index: BTreeMap<(Option<u32>, Box<[u32]>), u32>,
    /// Shared pages that nobody holds and that are no one's parent: the next to go.
    leaves: BTreeSet<(u64, u32)>,
    /// Shared pages that nobody holds.
    idle: usize,
    /// Most pages ever held by sequences.
    peak: usize,
    count: usize,
    clock: u64,
}

impl Pages {
    /// `count` free pages of `page_tokens` tokens.
    pub fn new(count: usize, page_tokens: usize, sharing: bool) -> Self {
        Self {
            page_tokens,
            sharing,
            free: (0..count as u32).collect(),
            shared: HashMap::new(),
            index: BTreeMap::new(),
            leaves: BTreeSet::new(),
            idle: 0,
            peak: 0,
            count,
            clock: 0,
        }
    }

    /// Most pages that sequences held at a time.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Whether no page could be given.
    pub fn are_exhausted(&self) -> bool {
        self.free.is_empty() && self.idle == 0
    }

    /// Pages for a sequence of at most `longest` tokens, or `None` where there are too few. `prompt` are the tokens that it
    /// computes for sure; pages within the first `limit` of them may be lent, of sequences of the same `rotation`.
    pub fn lease(&mut self, prompt: &[u32], limit: usize, longest: usize, rotation: usize) -> Option<Lease> {
        let root = root(rotation);
        let mut pages = if self.sharing { self.find(root, &prompt[..limit]) } else { Vec::new() };
        let needed = longest.div_ceil(self.page_tokens) - pages.len();
        let asleep = pages.iter().filter(|page| self.shared[*page].users == 0).count();
        if needed > self.free.len() + self.idle - asleep {
            return None;
        }
        pages.iter().for_each(|page| self.hold(*page));
        let lent = pages.len();
        pages.extend((0..needed).filter_map(|_| self.take()));
        let open = if self.sharing { self.publish(root, prompt, &pages, lent) } else { 0 };
        self.peak = self.peak.max(self.count - self.free.len() - self.idle);
        Some(Lease { pages, lent, open, prompt: prompt.len(), root })
    }

    /// Whether the lent pages are computed.
    pub fn are_ready(&self, lease: &Lease) -> bool {
        let last = lease.lent.checked_sub(1).and_then(|last| self.shared.get(&lease.pages[last]));
        last.is_none_or(|shared| shared.ready)
    }

    /// Gives a sequence that waits the lent pages to compute that nobody is at any more. Those before a page are always at hand
    /// first, and whoever was admitted earlier takes over earlier: behind the first such page all are.
    pub fn take_over(&mut self, lease: &mut Lease) {
        let left = |page: &u32| self.shared.get(page).is_some_and(|shared| !shared.ready && !shared.computing);
        let Some(first) = lease.pages[..lease.lent].iter().position(left) else { return };
        for page in &lease.pages[first..lease.lent] {
            self.shared.get_mut(page).into_iter().for_each(|shared| shared.computing = true);
        }
        lease.lent = first;
    }

    /// How many of the first `limit` tokens a sequence that is about to start needs not compute, and the copy that this
    /// takes, from and to. Its lent pages must be ready.
    pub fn start(&self, lease: &Lease, prompt: &[u32], limit: usize) -> (usize, Option<(u32, u32)>) {
        let known = lease.lent * self.page_tokens;
        let parent = lease.lent.checked_sub(1).map(|last| lease.pages[last]).or(lease.root);
        let rest = &prompt[known..limit.min(known + self.page_tokens)];
        match self.nearest(parent, rest).filter(|_| self.sharing) {
            Some((from, tokens)) => (known + tokens, Some((from, lease.pages[lease.lent]))),
            None => (known, None),
        }
    }

    /// Takes note that the first `tokens` tokens of a sequence are computed.
    pub fn computed(&mut self, lease: &Lease, tokens: usize) {
        let full = if tokens < lease.prompt { (tokens / self.page_tokens).min(lease.open) } else { lease.open };
        // The last ones come first: all before one that is noted are noted.
        for page in lease.pages[lease.lent.min(full)..full].iter().rev() {
            match self.shared.get_mut(page) {
                Some(shared) if !shared.ready => shared.ready = true,
                _ => break,
            }
        }
    }

    /// Takes the pages of a sequence back.
    pub fn give_back(&mut self, lease: Lease) {
        self.clock += 1;
        let Lease { pages, lent, open, .. } = lease;
        self.free.extend(&pages[open..]);
        for page in &pages[lent.min(open)..open] {
            self.shared.get_mut(page).into_iter().for_each(|shared| shared.computing = false);
        }
        pages[..open].iter().rev().for_each(|page| self.let_go(*page));
        let kept = KEPT.max(self.peak / 4);
        while self.idle > kept && self.forget() {}
    }

    /// Pages that hold the beginning of a prompt.
    fn find(&self, root: Option<u32>, prompt: &[u32]) -> Vec<u32> {
        let mut pages: Vec<u32> = Vec::new();
        for tokens in prompt.chunks_exact(self.page_tokens) {
            match self.index.get(&(pages.last().copied().or(root), tokens.into())) {
                Some(page) => pages.push(*page),
                None => break,
            }
        }
        pages
    }

    /// The computed page after `parent` that begins most like `wanted`, and how many tokens are equal. In sorted order the
    /// likest stand beside it.
    fn nearest(&self, parent: Option<u32>, wanted: &[u32]) -> Option<(u32, usize)> {
        let key = (parent, Box::from(wanted));
        let siblings = |((other, _), _): &(&(Option<u32>, Box<[u32]>), &u32)| *other == parent;
        let ready = |(_, page): &(_, &u32)| self.shared[*page].ready;
        let before = self.index.range(..&key).rev().take_while(siblings).find(ready);
        let behind = self.index.range(&key..).take_while(siblings).find(ready);
        let common = |tokens: &[u32]| tokens.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let beside = before.into_iter().chain(behind);
        let likest = beside.map(|((_, tokens), page)| (*page, common(tokens))).max_by_key(|(_, tokens)| *tokens);
        likest.filter(|(_, tokens)| *tokens >= COPIED)
    }

    /// Opens the prompt's own pages to others, up to the first that somebody else has opened already; the number of
    /// leading pages that are open.
    fn publish(&mut self, root: Option<u32>, prompt: &[u32], pages: &[u32], lent: usize) -> usize {
        let own = prompt.chunks(self.page_tokens).zip(pages).enumerate().skip(lent);
        let mut parent = lent.checked_sub(1).map(|last| pages[last]).or(root);
        for (at, (tokens, page)) in own {
            let tokens: Box<[u32]> = tokens.into();
            if self.index.contains_key(&(parent, tokens.clone())) {
                return at;
            }
            self.index.insert((parent, tokens.clone()), *page);
            if let Some(parent) = parent.and_then(|parent| self.shared.get_mut(&parent)) {
                parent.children += 1;
            }
            let new = Shared { parent, tokens, users: 1, children: 0, ready: false, computing: true, used: 0 };
            self.shared.insert(*page, new);
            parent = Some(*page);
        }
        lent.max(prompt.len().div_ceil(self.page_tokens))
    }

    fn hold(&mut self, page: u32) {
        let Some(shared) = self.shared.get_mut(&page) else { return };
        shared.users += 1;
        if shared.users == 1 {
            self.idle -= 1;
            self.leaves.remove(&(shared.used, page));
        }
    }

    fn let_go(&mut self, page: u32) {
        let Some(shared) = self.shared.get_mut(&page) else { return };
        shared.users -= 1;
        if shared.users == 0 {
            shared.used = self.clock;
            self.idle += 1;
            if shared.children == 0 {
                self.leaves.insert((shared.used, page));
            }
        }
    }

    /// A page for a sequence of its own.
    fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            self.forget();
        }
        self.free.pop_first()
    }

    /// Frees the shared page that was idle for longest; false if there is none.
    fn forget(&mut self) -> bool {
        let Some((_, page)) = self.leaves.pop_first() else { return false };
        let Some(Shared { parent, tokens, .. }) = self.shared.remove(&page) else { return false };
        self.index.remove(&(parent, tokens));
        self.idle -= 1;
        self.free.insert(page);
        if let Some((at, shared)) = parent.and_then(|at| Some((at, self.shared.get_mut(&at)?))) {
            shared.children -= 1;
            if shared.children == 0 && shared.users == 0 {
                self.leaves.insert((shared.used, at));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4;

    fn lease(pages: &mut Pages, prompt: &[u32]) -> Lease {
        pages.lease(prompt, prompt.len() - 1, prompt.len() + 2, 0).unwrap()
    }

    fn start(pages: &Pages, lease: &Lease, prompt: &[u32]) -> (usize, Option<(u32, u32)>) {
        pages.start(lease, prompt, prompt.len() - 1)
    }

    /// As a backend would: everything computed.
    fn finish(pages: &mut Pages, lease: Lease, tokens: usize) {
        pages.computed(&lease, tokens);
        pages.give_back(lease);
    }

    #[test]
    fn equal_pages_are_lent_once_they_are_computed() {
        let mut pages = Pages::new(100, PAGE, true);
        let (one, two) = ([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 10]);
        let first = lease(&mut pages, &one);
        assert_eq!((start(&pages, &first, &one), first.pages.len(), pages.are_ready(&first)), ((0, None), 3, true));
        let second = lease(&mut pages, &two);
        assert_eq!(&second.pages[..2], &first.pages[..2]);
        pages.computed(&first, 7);
        assert!(!pages.are_ready(&second), "the first has not computed the second page");
        pages.computed(&first, 8);
        assert!(pages.are_ready(&second));
        assert_eq!(start(&pages, &second, &two), (8, None));
        // The same prompt again must compute its last token; three tokens are not worth a copy.
        let third = lease(&mut pages, &one[..8]);
        assert_eq!(start(&pages, &third, &one[..8]), (4, None));
    }

    #[test]
    fn the_page_where_prompts_part_is_copied() {
        let mut pages = Pages::new(100, 8, true);
        let (one, two) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 0, 0, 0, 0]);
        let first = lease(&mut pages, &one);
        let second = lease(&mut pages, &two);
        assert_eq!(
            start(&pages, &second, &two),
            (0, None),
            "nothing is computed yet, and none waits for a part of a page"
        );
        pages.computed(&first, 5);
        assert_eq!(start(&pages, &second, &two), (0, None));
        pages.computed(&first, 6);
        assert_eq!(start(&pages, &second, &two), (5, Some((first.pages[0], second.pages[0]))));
    }

    #[test]
    fn pages_of_prompts_that_are_done_are_kept_until_they_are_needed() {
        let mut pages = Pages::new(6, PAGE, true);
        let long: Vec<u32> = (0..17).collect();
        let first = lease(&mut pages, &long);
        assert_eq!(first.pages.len(), 5);
        finish(&mut pages, first, 17);
        let again = lease(&mut pages, &long);
        assert_eq!(start(&pages, &again, &long).0, 16);
        finish(&mut pages, again, 17);
        // Another one of five pages needs all but one of them; the leaves go first.
        let other: Vec<u32> = (100..117).collect();
        let other = lease(&mut pages, &other);
        assert_eq!(other.lent, 0);
        assert!(pages.lease(&[7; 17], 16, 17, 0).is_none(), "one page is left");
        let rest = lease(&mut pages, &[0, 1]);
        finish(&mut pages, other, 17);
        finish(&mut pages, rest, 2);
        assert_eq!(pages.peak(), 6);
        assert_eq!(pages.free.len() + pages.idle, 6);
    }

    #[test]
    fn sequences_that_turn_otherwise_share_nothing() {
        let mut pages = Pages::new(100, PAGE, true);
        let prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let mut lend = |rotation| {
            let lease = pages.lease(&prompt, 8, 11, rotation).unwrap();
            let known = pages.start(&lease, &prompt, 8);
            pages.computed(&lease, 9);
            (known, lease.lent)
        };
        assert_eq!(lend(0), ((0, None), 0));
        assert_eq!(lend(300), ((0, None), 0));
        assert_eq!(lend(301), ((0, None), 0));
        assert_eq!(lend(300), ((8, None), 2));
        assert_eq!(lend(0), ((8, None), 2));
    }

    #[test]
    fn nothing_is_shared_where_sharing_is_off() {
        let mut pages = Pages::new(100, PAGE, false);
        let first = lease(&mut pages, &[1, 2, 3, 4, 5]);
        let second = lease(&mut pages, &[1, 2, 3, 4, 5]);
        assert_eq!((first.lent, second.lent), (0, 0));
        pages.computed(&first, 5);
        assert_eq!(start(&pages, &second, &[1, 2, 3, 4, 5]), (0, None));
        assert!(first.pages.iter().all(|page| !second.pages.contains(page)));
        pages.give_back(first);
        pages.give_back(second);
        assert_eq!(pages.free.len(), 100);
    }
}
