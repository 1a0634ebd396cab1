//! A published model with real weights: Karpathy's stories260K, with the text and logits of its reference.

use karat::engine::chat::Clock;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::render::Renderer;

use crate::reference::{self, distance, floats, generate, greedy, ids, json, last_logits};

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn stories260k_tells_its_story() {
    let shared = reference::shared();
    let folder = shared.join("data/weights/stories260K");
    let reference = json(&folder.join("reference.json"));
    let renderer = Renderer::open(&ModelFolder::new(&folder), Clock::default()).unwrap();
    let prompt = ids(&reference["prompt_ids"]);
    assert_eq!(renderer.tokenizer().encode(reference["prompt"].as_str().unwrap(), true).unwrap(), prompt);

    let mut model = reference::load(&folder);
    let logits = last_logits(&mut *model, std::slice::from_ref(&prompt)).remove(0);
    let distance = distance(&logits, &floats(&reference["last_token_logits_f64"]));
    println!("stories260K: logits within {distance:.1e}");
    assert!(distance < 1e-3, "{distance}");

    // Recorded with the begin token in front, which is where the story starts from.
    let story = ids(&reference["greedy_from_bos_ids"]);
    let told = generate(&mut *model, reference::LIMITS, vec![greedy(story[..1].to_vec(), story.len() - 1)]).remove(0);
    assert_eq!(told, story[1..]);
    let text = renderer.tokenizer().decode(&told, true).unwrap();
    assert_eq!(text.trim_start(), reference["greedy_from_bos_text"].as_str().unwrap().trim_start());
}
