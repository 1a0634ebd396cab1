//! `pages.cu`.

/// `copy_pages` of one layer: pairs in their order.
pub fn copy_pages<T: Copy>(pages: &mut [T], page_values: usize, pairs: &[(u32, u32)]) {
    for (from, to) in pairs {
        let at = |page: u32| page as usize * page_values;
        pages.copy_within(at(*from)..at(*from) + page_values, at(*to));
    }
}

/// `gather_rows`.
pub fn gather_rows(from: &[f32], width: usize, index: &[u32]) -> Vec<f32> {
    index.iter().flat_map(|row| &from[*row as usize * width..][..width]).copied().collect()
}

#[test]
fn copies_are_made_one_after_the_other() {
    let mut pages = [1, 2, 3, 4, 5, 6];
    copy_pages(&mut pages, 2, &[(0, 1), (1, 2)]);
    assert_eq!(pages, [1, 2, 1, 2, 1, 2]);
    assert_eq!(gather_rows(&[1.0, 2.0, 3.0], 1, &[2, 0, 2]), [3.0, 1.0, 3.0]);
}
