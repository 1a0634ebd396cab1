//! `copies.cu`.

/// `copy_kv_blocks` of one layer: pairs in their order.
pub fn copy_kv_blocks<T: Copy>(kv_blocks: &mut [T], block_values: usize, pairs: &[(u32, u32)]) {
    for (from, to) in pairs {
        let at = |kv_block: u32| kv_block as usize * block_values;
        kv_blocks.copy_within(at(*from)..at(*from) + block_values, at(*to));
    }
}

/// `gather_rows`.
pub fn gather_rows(from: &[f32], width: usize, index: &[u32]) -> Vec<f32> {
    index.iter().flat_map(|row| &from[*row as usize * width..][..width]).copied().collect()
}

#[test]
fn copies_are_made_one_after_the_other() {
    let mut kv_blocks = [1, 2, 3, 4, 5, 6];
    copy_kv_blocks(&mut kv_blocks, 2, &[(0, 1), (1, 2)]);
    assert_eq!(kv_blocks, [1, 2, 1, 2, 1, 2]);
    assert_eq!(gather_rows(&[1.0, 2.0, 3.0], 1, &[2, 0, 2]), [3.0, 1.0, 3.0]);
}
