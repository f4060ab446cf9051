use egss_kernels::*;
use std::time::Instant;
struct Two;
impl Executor for Two {
    fn execute(&self, n: usize, f: &(dyn Fn(std::ops::Range<usize>) + Sync)) {
        let h = n / 2;
        std::thread::scope(|s| {
            s.spawn(|| f(0..h));
            f(h..n)
        });
    }
}
fn main() {
    let two = std::env::args().nth(1).is_some();
    let ex: &dyn Executor = if two { &Two } else { &Inline };
    let isa = Isa::best();
    for format in Format::ALL {
        let (n, k, copies) = if std::env::var("SMALL").is_ok() {
            (256, 1536, 400)
        } else {
            (8960, 1536, 12)
        };
        let real = if std::env::var("SMALL").is_ok() {
            1
        } else {
            copies
        };
        let mut file = vec![0u8; n * k / format.block() * format.block_bytes()];
        let mut x = 1u32;
        for b in file.iter_mut() {
            x = x.wrapping_mul(1664525).wrapping_add(1013904223);
            *b = (x >> 24) as u8;
        }
        for b in file.chunks_exact_mut(format.block_bytes()) {
            for at in [0, 2, b.len() - 2] {
                b[at] = 0;
                b[at + 1] = 0x20;
            }
        }
        let s = Instant::now();
        let ws: Vec<_> = (0..real)
            .map(|_| PackedMatrix::pack(format, n, k, &file, ex))
            .collect();
        let pack = file.len() as f64 * copies as f64 / s.elapsed().as_secs_f64() / 1e9;
        print!("{format:?} pack {pack:.2} GB/s;");
        for t in [1, 12] {
            let mut best = f64::MAX;
            let mut bq = f64::MAX;
            let mut mem = AlignedBytes::zeroed(t * n * 4);
            let out: &mut [f32] = if std::env::var("HUGE").is_ok() {
                unsafe { std::slice::from_raw_parts_mut(mem.as_mut_ptr().cast(), t * n) }
            } else {
                Vec::leak(vec![0f32; t * n])
            };
            for _ in 0..(if t > 32 { 1 } else { 3 }) {
                let s = Instant::now();
                let lhs = QuantizedRows::new(
                    isa,
                    t,
                    k,
                    format.scales(),
                    &|r, v| {
                        for (i, v) in v.iter_mut().enumerate() {
                            *v = ((r * 7 + i * 13) % 97) as f32 - 48.0
                        }
                    },
                    &Inline,
                );
                bq = bq.min(s.elapsed().as_secs_f64());
                let s = Instant::now();
                for w in ws.iter().cycle().take(copies) {
                    multiply(
                        isa,
                        &lhs,
                        &[Part {
                            weights: w,
                            bias: None,
                            column: 0,
                        }],
                        false,
                        out,
                        n,
                        ex,
                    );
                }
                best = best.min(s.elapsed().as_secs_f64());
            }
            let bytes = file.len() as f64 * copies as f64;
            let macs = t as f64 * (n * k * copies) as f64;
            print!(
                " T{t}: {:.1} GB/s {:.0} GMAC/s q{:.0}us;",
                bytes / best / 1e9,
                macs / best / 1e9,
                bq * 1e6
            );
        }
        println!();
    }
}
