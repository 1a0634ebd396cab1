//! The pool of KV blocks: block tables, prefix sharing, reference counts, eviction.
//!
//! A block of a prompt whose tokens, and all tokens before them, equal those of an earlier prompt holds the same bits, since a
//! row depends on its own sequence alone: it is computed once and shared by all; a sequence that needs it while it is being computed
//! waits for it. The block in which two prompts part is only equal at its beginning: the later prompt copies it once it is computed, and
//! goes on in the copy. It waits for such a block only where that saves half of its work. Blocks of finished prompts are kept and evicted in LRU order. Sharing
//! changes how much is computed, never what.
//!
//! A sequence that fails in the middle of its prompt leaves blocks behind that nobody computes any more. A sequence that waits for
//! them, or shares them later, computes them itself: the failure of one sequence is not that of another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Fewest tokens that make a copy of a block worth its bytes.
const COPIED: usize = 2;
/// Blocks that are looked at for one that is being computed: of many that begin alike, the nearest save most.
const NEIGHBOURS: usize = 32;
/// Blocks that are kept for prompts to come, at least; beyond it a quarter of the most that were ever in use.
const KEPT: usize = 128;

/// A block with tokens of a prompt that others may share, fewer than it takes where the prompt ends in it. `parent` is the block
/// of the tokens before.
struct SharedBlock {
    parent: Option<u32>,
    tokens: Box<[u32]>,
    /// Reference count: sequences whose block table has it.
    references: usize,
    /// Blocks whose parent it is.
    children: usize,
    /// Whether its keys and values are computed.
    ready: bool,
    /// Whether a sequence is at them.
    computing: bool,
    /// When its last reference was dropped.
    used: u64,
    /// Which allocation computes it, by number: only later ones wait for it.
    owner: u64,
}

/// The block table of one sequence.
#[derive(Debug)]
pub struct BlockTable {
    /// All its blocks, in order of position.
    pub blocks: Vec<u32>,
    /// Leading blocks that were allocated for an earlier sequence.
    reused: usize,
    /// Leading blocks that other sequences may share, those of earlier sequences and its own.
    shareable: usize,
    /// Tokens of the prompt.
    prompt: usize,
    /// What stands before its first block.
    root: Option<u32>,
    /// The number of its allocation.
    number: u64,
}

/// What stands before the first block of sequences of equal rotation ([`crate::scheduler::backend::Backend::rotation`]): nothing, or a
/// number that no block has, so that only they share.
fn root(rotation: usize) -> Option<u32> {
    (rotation > 0).then(|| u32::MAX - u32::try_from(rotation).unwrap_or(u32::MAX))
}

/// All blocks of a cache.
pub struct BlockPool {
    block_size: usize,
    sharing: bool,
    free: BTreeSet<u32>,
    shared: HashMap<u32, SharedBlock>,
    /// Shared blocks by the block before them and their tokens.
    index: BTreeMap<(Option<u32>, Box<[u32]>), u32>,
    /// Shared blocks without references and children: candidates for eviction.
    leaves: BTreeSet<(u64, u32)>,
    /// Shared blocks without references.
    idle: usize,
    /// Most blocks ever referenced by sequences.
    peak: usize,
    count: usize,
    clock: u64,
    allocations: u64,
}

impl BlockPool {
    /// `count` free blocks of `block_size` tokens.
    pub fn new(count: usize, block_size: usize, sharing: bool) -> Self {
        Self {
            block_size,
            sharing,
            free: (0..count as u32).collect(),
            shared: HashMap::new(),
            index: BTreeMap::new(),
            leaves: BTreeSet::new(),
            idle: 0,
            peak: 0,
            count,
            clock: 0,
            allocations: 0,
        }
    }

    /// Most blocks that were referenced at a time.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Whether no block can be allocated.
    pub fn are_exhausted(&self) -> bool {
        self.free.is_empty() && self.idle == 0
    }

    /// Blocks for a sequence of at most `longest` tokens, or `None` where there are too few. `prompt` are the tokens that it
    /// computes for sure; blocks within the first `limit` of them may be shared with sequences of the same `rotation`.
    pub fn allocate(&mut self, prompt: &[u32], limit: usize, longest: usize, rotation: usize) -> Option<BlockTable> {
        let root = root(rotation);
        let mut blocks = if self.sharing { self.find(root, &prompt[..limit]) } else { Vec::new() };
        let needed = longest.div_ceil(self.block_size) - blocks.len();
        let asleep = blocks.iter().filter(|block| self.shared[*block].references == 0).count();
        if needed > self.free.len() + self.idle - asleep {
            return None;
        }
        blocks.iter().for_each(|block| self.acquire(*block));
        let reused = blocks.len();
        blocks.extend((0..needed).filter_map(|_| self.take_free()));
        self.allocations += 1;
        let shareable = if self.sharing { self.publish(root, prompt, &blocks, reused) } else { 0 };
        self.peak = self.peak.max(self.count - self.free.len() - self.idle);
        Some(BlockTable { blocks, reused, shareable, prompt: prompt.len(), root, number: self.allocations })
    }

    /// Whether the blocks shared with earlier sequences are computed.
    pub fn are_ready(&self, table: &BlockTable) -> bool {
        let last = table.reused.checked_sub(1).and_then(|last| self.shared.get(&table.blocks[last]));
        last.is_none_or(|shared| shared.ready)
    }

    /// Gives a waiting sequence the shared blocks to compute that no sequence computes any more. Those before a block are always at hand
    /// first, and whoever was admitted earlier takes over earlier: behind the first such block all are.
    pub fn take_over(&mut self, table: &mut BlockTable) {
        let left = |block: &u32| self.shared.get(block).is_some_and(|shared| !shared.ready && !shared.computing);
        let Some(first) = table.blocks[..table.reused].iter().position(left) else { return };
        for block in &table.blocks[first..table.reused] {
            if let Some(shared) = self.shared.get_mut(block) {
                shared.computing = true;
                shared.owner = table.number;
            }
        }
        table.reused = first;
    }

    /// How many of the first `limit` tokens a sequence that is about to start needs not compute, and the copy that this
    /// takes, from and to; `None` where it better waits for an earlier sequence to compute a block that saves at least half of
    /// what is left of them. Its shared blocks must be ready.
    pub fn start(&self, table: &BlockTable, prompt: &[u32], limit: usize) -> Option<(usize, Option<(u32, u32)>)> {
        let known = table.reused * self.block_size;
        let parent = table.reused.checked_sub(1).map(|last| table.blocks[last]).or(table.root);
        let rest = &prompt[known..limit.min(known + self.block_size)];
        if !self.sharing || rest.is_empty() {
            return Some((known, None));
        }
        let ready = self.nearest(parent, rest, usize::MAX, |shared| shared.ready);
        let saved = ready.map_or(0, |(_, tokens)| tokens);
        let coming = |shared: &SharedBlock| !shared.ready && shared.computing && shared.owner < table.number;
        let coming = self.nearest(parent, rest, NEIGHBOURS, coming);
        if coming.is_some_and(|(_, tokens)| tokens > saved && 2 * tokens >= limit - known) {
            return None;
        }
        Some((known + saved, ready.map(|(from, _)| (from, table.blocks[table.reused]))))
    }

    /// Takes note that the first `tokens` tokens of a sequence are computed.
    pub fn computed(&mut self, table: &BlockTable, tokens: usize) {
        let full =
            if tokens < table.prompt { (tokens / self.block_size).min(table.shareable) } else { table.shareable };
        // The last ones come first: all before one that is noted are noted.
        for block in table.blocks[table.reused.min(full)..full].iter().rev() {
            match self.shared.get_mut(block) {
                Some(shared) if !shared.ready => shared.ready = true,
                _ => break,
            }
        }
    }

    /// Releases the blocks of a sequence.
    pub fn release(&mut self, table: BlockTable) {
        self.clock += 1;
        let BlockTable { blocks, reused, shareable, .. } = table;
        self.free.extend(&blocks[shareable..]);
        for block in &blocks[reused.min(shareable)..shareable] {
            self.shared.get_mut(block).into_iter().for_each(|shared| shared.computing = false);
        }
        blocks[..shareable].iter().rev().for_each(|block| self.drop_reference(*block));
        let kept = KEPT.max(self.peak / 4);
        while self.idle > kept && self.evict() {}
    }

    /// Blocks that hold the beginning of a prompt.
    fn find(&self, root: Option<u32>, prompt: &[u32]) -> Vec<u32> {
        let mut blocks: Vec<u32> = Vec::new();
        for tokens in prompt.chunks_exact(self.block_size) {
            match self.index.get(&(blocks.last().copied().or(root), tokens.into())) {
                Some(block) => blocks.push(*block),
                None => break,
            }
        }
        blocks
    }

    /// The block after `parent`, among those that `is`, that begins most like `wanted`, and how many tokens are equal. In sorted
    /// order the likest stand beside it; no more than `within` are looked at on either side.
    fn nearest(
        &self,
        parent: Option<u32>,
        wanted: &[u32],
        within: usize,
        is: impl Fn(&SharedBlock) -> bool,
    ) -> Option<(u32, usize)> {
        let key = (parent, Box::from(wanted));
        let siblings = |((other, _), _): &(&(Option<u32>, Box<[u32]>), &u32)| *other == parent;
        let is = |(_, block): &(_, &u32)| is(&self.shared[*block]);
        let before = self.index.range(..&key).rev().take_while(siblings).take(within).find(&is);
        let behind = self.index.range(&key..).take_while(siblings).take(within).find(&is);
        let common = |tokens: &[u32]| tokens.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let beside = before.into_iter().chain(behind);
        let likest = beside.map(|((_, tokens), block)| (*block, common(tokens))).max_by_key(|(_, tokens)| *tokens);
        likest.filter(|(_, tokens)| *tokens >= COPIED)
    }

    /// Lets other sequences share the prompt's own blocks, up to the first that an earlier sequence has published; the number
    /// of leading blocks that are shareable.
    fn publish(&mut self, root: Option<u32>, prompt: &[u32], blocks: &[u32], reused: usize) -> usize {
        let own = prompt.chunks(self.block_size).zip(blocks).enumerate().skip(reused);
        let mut parent = reused.checked_sub(1).map(|last| blocks[last]).or(root);
        for (at, (tokens, block)) in own {
            let tokens: Box<[u32]> = tokens.into();
            if self.index.contains_key(&(parent, tokens.clone())) {
                return at;
            }
            self.index.insert((parent, tokens.clone()), *block);
            if let Some(parent) = parent.and_then(|parent| self.shared.get_mut(&parent)) {
                parent.children += 1;
            }
            let new = SharedBlock {
                parent,
                tokens,
                references: 1,
                children: 0,
                ready: false,
                computing: true,
                used: 0,
                owner: self.allocations,
            };
            self.shared.insert(*block, new);
            parent = Some(*block);
        }
        reused.max(prompt.len().div_ceil(self.block_size))
    }

    fn acquire(&mut self, block: u32) {
        let Some(shared) = self.shared.get_mut(&block) else { return };
        shared.references += 1;
        if shared.references == 1 {
            self.idle -= 1;
            self.leaves.remove(&(shared.used, block));
        }
    }

    fn drop_reference(&mut self, block: u32) {
        let Some(shared) = self.shared.get_mut(&block) else { return };
        shared.references -= 1;
        if shared.references == 0 {
            shared.used = self.clock;
            self.idle += 1;
            if shared.children == 0 {
                self.leaves.insert((shared.used, block));
            }
        }
    }

    /// A block that no other sequence has, after an eviction if need be.
    fn take_free(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            self.evict();
        }
        self.free.pop_first()
    }

    /// Evicts the least recently used block without references; false if there is none.
    fn evict(&mut self) -> bool {
        let Some((_, block)) = self.leaves.pop_first() else { return false };
        let Some(SharedBlock { parent, tokens, .. }) = self.shared.remove(&block) else { return false };
        self.index.remove(&(parent, tokens));
        self.idle -= 1;
        self.free.insert(block);
        if let Some((at, shared)) = parent.and_then(|at| Some((at, self.shared.get_mut(&at)?))) {
            shared.children -= 1;
            if shared.children == 0 && shared.references == 0 {
                self.leaves.insert((shared.used, at));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_SIZE: usize = 4;

    fn allocate(pool: &mut BlockPool, prompt: &[u32]) -> BlockTable {
        pool.allocate(prompt, prompt.len() - 1, prompt.len() + 2, 0).unwrap()
    }

    fn start(pool: &BlockPool, table: &BlockTable, prompt: &[u32]) -> (usize, Option<(u32, u32)>) {
        pool.start(table, prompt, prompt.len() - 1).expect("nothing to wait for")
    }

    /// As a backend would: everything computed.
    fn finish(pool: &mut BlockPool, table: BlockTable, tokens: usize) {
        pool.computed(&table, tokens);
        pool.release(table);
    }

    #[test]
    fn equal_blocks_are_shared_once_they_are_computed() {
        let mut pool = BlockPool::new(100, BLOCK_SIZE, true);
        let (one, two) = ([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 10]);
        let first = allocate(&mut pool, &one);
        assert_eq!((start(&pool, &first, &one), first.blocks.len(), pool.are_ready(&first)), ((0, None), 3, true));
        let second = allocate(&mut pool, &two);
        assert_eq!(&second.blocks[..2], &first.blocks[..2]);
        pool.computed(&first, 7);
        assert!(!pool.are_ready(&second), "the first has not computed the second block");
        pool.computed(&first, 8);
        assert!(pool.are_ready(&second));
        assert_eq!(start(&pool, &second, &two), (8, None));
        // The same prompt again must compute its last token, behind a copy of those before it.
        let third = allocate(&mut pool, &one[..8]);
        assert_eq!(start(&pool, &third, &one[..8]), (7, Some((first.blocks[1], third.blocks[1]))));
    }

    #[test]
    fn the_block_where_prompts_part_is_copied() {
        let mut pool = BlockPool::new(100, 8, true);
        let (one, two) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 0, 0, 0, 0]);
        let first = allocate(&mut pool, &one);
        let second = allocate(&mut pool, &two);
        assert_eq!(pool.start(&second, &two, 8), None, "more than half of it is being computed");
        pool.computed(&first, 5);
        assert_eq!(pool.start(&second, &two, 8), None);
        let other = [1, 2, 3, 0, 0, 0, 0, 0, 0];
        let third = allocate(&mut pool, &other);
        assert_eq!(start(&pool, &third, &other), (0, None), "less than half of it: it does not wait");
        pool.computed(&first, 6);
        assert_eq!(start(&pool, &second, &two), (5, Some((first.blocks[0], second.blocks[0]))));
    }

    #[test]
    fn blocks_of_finished_prompts_are_kept_until_they_are_evicted() {
        let mut pool = BlockPool::new(6, BLOCK_SIZE, true);
        let long: Vec<u32> = (0..17).collect();
        let first = allocate(&mut pool, &long);
        assert_eq!(first.blocks.len(), 5);
        finish(&mut pool, first, 17);
        let again = allocate(&mut pool, &long);
        assert_eq!(start(&pool, &again, &long).0, 16);
        finish(&mut pool, again, 17);
        // Another one of five blocks needs all but one of them; leaves are evicted first.
        let other: Vec<u32> = (100..117).collect();
        let other = allocate(&mut pool, &other);
        assert_eq!(other.reused, 0);
        assert!(pool.allocate(&[7; 17], 16, 17, 0).is_none(), "one block is left");
        let rest = allocate(&mut pool, &[0, 1]);
        finish(&mut pool, other, 17);
        finish(&mut pool, rest, 2);
        assert_eq!(pool.peak(), 6);
        assert_eq!(pool.free.len() + pool.idle, 6);
    }

    #[test]
    fn sequences_of_another_rotation_share_nothing() {
        let mut pool = BlockPool::new(100, BLOCK_SIZE, true);
        let prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let mut reuse = |rotation| {
            let table = pool.allocate(&prompt, 8, 11, rotation).unwrap();
            let known = pool.start(&table, &prompt, 8).expect("nothing to wait for");
            pool.computed(&table, 9);
            (known, table.reused)
        };
        assert_eq!(reuse(0), ((0, None), 0));
        assert_eq!(reuse(300), ((0, None), 0));
        assert_eq!(reuse(301), ((0, None), 0));
        assert_eq!(reuse(300), ((8, None), 2));
        assert_eq!(reuse(0), ((8, None), 2));
    }

    #[test]
    fn nothing_is_shared_where_sharing_is_off() {
        let mut pool = BlockPool::new(100, BLOCK_SIZE, false);
        let first = allocate(&mut pool, &[1, 2, 3, 4, 5]);
        let second = allocate(&mut pool, &[1, 2, 3, 4, 5]);
        assert_eq!((first.reused, second.reused), (0, 0));
        pool.computed(&first, 5);
        assert_eq!(start(&pool, &second, &[1, 2, 3, 4, 5]), (0, None));
        assert!(first.blocks.iter().all(|block| !second.blocks.contains(block)));
        pool.release(first);
        pool.release(second);
        assert_eq!(pool.free.len(), 100);
    }
}
