//! Attention.

use half::{bf16, f16};

use super::{Bench, Value};
use crate::cuda::launch::attention::{AttentionKernels, Cache, Work};
use crate::cuda::plan::{Item, Mask, Planner, WHOLE};
use crate::cuda::reference::attention::attend;
use crate::cuda::reference::numbers::assert_near;
use crate::cuda::reference::steps::{
    LONGEST, SHAPES, Step, assert_attention, assert_contained, assert_invariant, heads, part, planner,
};

/// What stands in results before.
const MARK: f32 = 7.0;

/// The kernels of a GPU for one type.
struct Gpu {
    bench: Bench,
    kernels: AttentionKernels,
}

impl Gpu {
    fn new<T: Value>() -> Self {
        let bench = Bench::new();
        let kernels = AttentionKernels::load(&bench.opened.stream, T::KIND).unwrap();
        Self { bench, kernels }
    }

    fn run<T: Value>(&self, planner: &Planner, step: &Step<T>) -> Vec<T> {
        let plan = planner.plan(&step.sequences);
        self.run_items(planner, step, &plan.items, &plan.combines)
    }

    fn run_items<T: Value>(&self, planner: &Planner, step: &Step<T>, items: &[Item], combines: &[Item]) -> Vec<T> {
        let (bench, heads) = (&self.bench, &planner.heads);
        let mut out = bench.up(&vec![T::narrow(MARK); (step.tokens() + 2) * heads.queries * heads.size]);
        let qkv = bench.up(&step.qkv);
        let cache = step.cache.as_ref();
        let cache = cache.map(|(keys, values, table)| (bench.up(keys), bench.up(values), bench.up(table)));
        let cache = cache.as_ref().map(|(keys, values, table)| (keys.as_view(), values.as_view(), table.as_view()));
        let cache = cache.as_ref().map(|(keys, values, table)| Cache { keys, values, table });
        // Room for more items, which must not be looked at: behind the number stand the first ones again, with other results.
        let most = planner.most(step.tokens(), step.sequences.len(), LONGEST);
        let filled = |items: &[Item], most: usize| {
            let mut words: Vec<u32> = items.iter().flat_map(|item| item.words()).collect();
            let mut behind = items.iter().chain([&items[0]; 3]).map(|item| Item { from: item.to - 1, ..*item });
            words.extend(behind.by_ref().take(most.saturating_sub(items.len())).flat_map(Item::words));
            words
        };
        let combine_words = if combines.is_empty() { vec![0; 16] } else { filled(combines, most.combines) };
        let (items_gpu, combines_gpu) = (bench.up(&filled(items, most.items)), bench.up(&combine_words));
        let (item_count, combine_count) = (bench.up(&[items.len() as u32]), bench.up(&[combines.len() as u32]));
        let work = Work {
            items: &items_gpu.as_view(),
            item_count: &item_count.as_view(),
            combines: &combines_gpu.as_view(),
            combine_count: &combine_count.as_view(),
        };
        let parts = items.iter().filter(|item| item.partial != WHOLE).count();
        let space = parts * AttentionKernels::space(planner).unwrap() / planner.partials();
        let mut space = bench.up(&vec![f32::NAN; space.max(1)]);
        let from = (&qkv.as_view(), cache.as_ref());
        self.kernels.attend::<T>(heads, &work, from, &mut space.as_view_mut(), &mut out.as_view_mut()).unwrap();
        bench.down(&out)
    }
}

/// All that must hold for one type, to `steps` of it.
fn holds_of<T: Value>(steps: f32) {
    let (gpu, tile_rows) = (Gpu::new::<T>(), AttentionKernels::tile_rows(T::KIND));
    let run = |planner: &Planner, step: &Step<T>| gpu.run(planner, step);
    for shape in SHAPES {
        assert_attention((shape, tile_rows), (T::narrow(MARK), steps), &run);
        println!("{} {shape:?}: near the formula", T::KIND.name());
    }
    for shape in [(4, 4, 64), (8, 1, 80), (6, 2, 128), (5, 1, 33), (4, 2, 256)] {
        assert_invariant((shape, tile_rows), &run);
        assert_contained((shape, tile_rows), &run);
        println!("{} {shape:?}: the same bits in every step", T::KIND.name());
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn attention_in_f32_is_right() {
    holds_of::<f32>(256.0);
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn attention_in_bf16_is_right() {
    holds_of::<bf16>(3.0);
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn attention_in_f16_is_right() {
    holds_of::<f16>(3.0);
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn attention_in_f32_is_near_the_reference() {
    let gpu = Gpu::new::<f32>();
    for shape in SHAPES {
        for cap in [None, Some(30.0)] {
            let heads = heads(shape, cap, Mask::causal(Some(700)));
            let step = Step::<f32>::new(&heads, &[part(1, 1150, 1), part(2, 20, 30)], true);
            let planner = planner(heads, 16, 1000);
            let mut right = vec![MARK; (step.tokens() + 2) * heads.queries * heads.size];
            step.wide(|source| attend(&heads, source, &planner.plan(&step.sequences), 16, &mut right));
            let right: Vec<f64> = right.iter().map(|x| f64::from(*x)).collect();
            assert_near(&gpu.run(&planner, &step), &right, 64.0);
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn items_that_ask_for_what_there_is_not_are_left_out() {
    left_out::<f32>();
    left_out::<bf16>();
}

fn left_out<T: Value>() {
    let gpu = Gpu::new::<T>();
    let heads = heads((2, 1, 64), None, Mask::causal(None));
    let planner = planner(heads, AttentionKernels::tile_rows(T::KIND), 0);
    let step = Step::<T>::new(&heads, &[part(1, 600, 1)], true);
    let good = planner.plan(&step.sequences).items[0];
    let sequence = good.sequence;
    let with = |change: &dyn Fn(&mut Item)| {
        let mut item = good;
        change(&mut item);
        item
    };
    let bad = [
        with(&|item| item.sequence.first = 3),
        with(&|item| item.sequence.first = u32::MAX),
        with(&|item| item.sequence.tokens = u32::MAX),
        with(&|item| item.sequence.start = 1000),
        with(&|item| item.sequence.start = u32::MAX - 5),
        with(&|item| item.sequence.kv_blocks = sequence.kv_blocks + 1),
        with(&|item| item.sequence.kv_blocks = u32::MAX),
        with(&|item| item.tile = 1),
        with(&|item| item.to = 3),
        with(&|item| item.from = 3),
        with(&|item| item.partial = planner.partials() as u32),
    ];
    let combines = [Item { partial: planner.partials() as u32 - 1, ..good }, good];
    let found = gpu.run_items(&planner, &step, &bad, &combines);
    assert!(found.iter().all(|x| *x == T::narrow(MARK)), "{}", T::KIND.name());
}
