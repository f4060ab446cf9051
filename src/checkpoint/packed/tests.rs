//! Files of packed weights that are found again, and those that are not.
use super::*;
use egss_kernels::{Format, Inline};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A folder for packed weights beside a file that stands for a model.
struct Place {
    root: tempfile::TempDir,
    model: PathBuf,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let model = root.path().join("model.gguf");
        fs::write(&model, b"header, and weights").unwrap();
        Self { root, model }
    }

    fn folder(&self, bytes_max: u64) -> PackedFolder {
        PackedFolder::at(self.root.path().join("packed"), bytes_max)
    }

    fn key(&self) -> PackedKey {
        key_of(&self.model)
    }

    /// The only file of packed weights.
    fn file(&self) -> PathBuf {
        let all = fs::read_dir(self.root.path().join("packed")).unwrap();
        let [only] = &all.map(|e| e.unwrap().path()).collect::<Vec<_>>()[..] else {
            panic!("one file")
        };
        only.clone()
    }
}

const PLENTY: u64 = 1 << 30;

fn key_of(model: &Path) -> PackedKey {
    PackedKey::of(std::iter::once(model), b"header").unwrap()
}

fn matrix(format: Format, n: usize, seed: usize) -> PackedMatrix {
    let k = 512;
    let len = n * k / format.block() * format.block_bytes();
    let file: Vec<u8> = (0..len).map(|i| ((i * 31 + seed) % 249) as u8).collect();
    PackedMatrix::pack(format, n, k, &file, &Inline)
}

/// One of each format, sixteen dividing its rows or not.
fn matrices() -> Vec<(String, PackedMatrix)> {
    let formats = Format::ALL.into_iter().enumerate();
    let one = |(i, format): (usize, Format)| {
        let matrix = matrix(format, 7 + 9 * i, i).times(1.0 + i as f32);
        (format!("blk.{i}.weight"), matrix)
    };
    formats.map(one).collect()
}

fn kept(place: &Place) -> PackedFile {
    let folder = place.folder(PLENTY);
    let outcome = folder.keep(&place.key(), &matrices(), &mut |_| {}).unwrap();
    assert_eq!(outcome, Outcome::Written);
    folder.find(&place.key()).expect("what was kept")
}

#[test]
fn what_was_kept_is_found_and_has_the_same_weights() {
    let place = Place::new();
    assert!(place.folder(PLENTY).find(&place.key()).is_none());
    let file = kept(&place);
    assert_eq!(file.damaged(), None);
    for (name, packed) in matrices() {
        let found = file.matrix(&name).unwrap();
        assert_eq!(
            (found.format(), found.n(), found.k(), found.factor()),
            (packed.format(), packed.n(), packed.k(), packed.factor())
        );
        assert_eq!(found.packed_bytes(), packed.packed_bytes());
        let aligned = found.packed_bytes().as_ptr().align_offset(64);
        assert_eq!(aligned, 0, "{name}");
    }
    assert!(file.matrix("blk.99.weight").is_none());
}

#[test]
fn a_model_that_changed_is_packed_anew() {
    let place = Place::new();
    kept(&place);
    let before = place.key();
    // As long as before, so that its time alone tells.
    let file = File::options().write(true).open(&place.model).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert!(!before.holds() && before != place.key());
    assert!(place.folder(PLENTY).find(&place.key()).is_none());
    let outcome = place.folder(PLENTY).keep(&before, &matrices(), &mut |_| {});
    assert_eq!(outcome.unwrap(), Outcome::Changed);
    assert!(place.folder(PLENTY).find(&before).is_none());
    let other_header = PackedKey::of(std::iter::once(place.model.as_path()), b"another");
    assert_ne!(other_header.unwrap(), place.key());
}

#[test]
fn a_file_that_was_cut_anywhere_is_not_taken() {
    let place = Place::new();
    kept(&place);
    let (path, whole) = (place.file(), fs::read(place.file()).unwrap());
    for cut in (0..whole.len())
        .step_by(997)
        .chain(whole.len() - 64..whole.len())
    {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(
            PackedFile::open(&path).is_none(),
            "{cut} of {} bytes",
            whole.len()
        );
    }
    fs::write(&path, &whole).unwrap();
    assert!(PackedFile::open(&path).is_some());
}

#[test]
fn an_index_with_any_other_byte_is_not_taken() {
    let place = Place::new();
    kept(&place);
    let (path, whole) = (place.file(), fs::read(place.file()).unwrap());
    let end = whole.len() - 20;
    let start = u64::from_le_bytes(*whole[end..].first_chunk().unwrap()) as usize;
    for at in start..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&path, &changed).unwrap();
        assert!(PackedFile::open(&path).is_none(), "byte {at}");
    }
}

#[test]
fn prune_removes_what_is_damaged_or_of_no_use_and_says_why() {
    let place = Place::new();
    let folder = place.folder(PLENTY);
    kept(&place);
    let reasons = |pruned: &Pruned| pruned.removed.iter().map(|r| r.reason).collect::<Vec<_>>();
    let pruned = folder.prune(false).unwrap();
    assert_eq!((pruned.kept.len(), pruned.removed.len()), (1, 0));
    assert_eq!(pruned.kept[0].of, fs::canonicalize(&place.model).unwrap());

    // A byte of a weight.
    let path = place.file();
    let mut bytes = fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(reasons(&folder.prune(false).unwrap()), ["it is damaged"]);

    kept(&place);
    fs::write(&place.model, b"another model").unwrap();
    assert_eq!(
        reasons(&folder.prune(false).unwrap()),
        ["its model was changed"]
    );

    kept(&place);
    fs::remove_file(&place.model).unwrap();
    assert_eq!(
        reasons(&folder.prune(false).unwrap()),
        ["its model is gone"]
    );

    fs::write(&place.model, b"a model").unwrap();
    kept(&place);
    assert_eq!(reasons(&folder.prune(true).unwrap()), ["all were to go"]);
    assert!(folder.prune(true).unwrap().kept.is_empty());
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let place = Place::new();
    let bytes: u64 = matrices().iter().map(|(_, m)| m.bytes() as u64).sum();
    // Two fit, with their indices and gaps, and not three.
    let folder = place.folder(5 * bytes / 2);
    let models = ["a", "b", "c"].map(|name| place.root.path().join(format!("{name}.gguf")));
    let keys = models.each_ref().map(|model| {
        fs::write(model, b"header, and weights").unwrap();
        key_of(model)
    });
    let keep = |key| folder.keep(key, &matrices(), &mut |_| {}).unwrap();
    let age = |key: &PackedKey, seconds| {
        let path = place.root.path().join("packed").join(key.file_name());
        let at = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        File::open(path).unwrap().set_modified(at).unwrap();
    };
    keep(&keys[0]);
    keep(&keys[1]);
    age(&keys[0], 200);
    age(&keys[1], 100);
    // Finding is using.
    assert!(folder.find(&keys[0]).is_some());
    keep(&keys[2]);
    assert!(folder.find(&keys[1]).is_none());
    assert!(folder.find(&keys[0]).is_some() && folder.find(&keys[2]).is_some());
    // One of a model that is gone goes first, however new it is.
    fs::remove_file(&models[2]).unwrap();
    keep(&keys[1]);
    assert!(folder.find(&keys[2]).is_none() && folder.find(&keys[0]).is_some());

    let small = place.folder(bytes - 1);
    let outcome = small.keep(&keys[1], &matrices(), &mut |_| {}).unwrap();
    assert_eq!(outcome, Outcome::NoRoom);
    assert!(
        small.find(&keys[1]).is_some(),
        "nothing makes room for what has none"
    );
}

#[test]
fn what_a_process_left_unfinished_is_removed_unless_somebody_writes_it() {
    let place = Place::new();
    kept(&place);
    let folder = place.root.path().join("packed");
    let [left, in_hand] = ["left", "in_hand"].map(|name| folder.join(format!("{name}.unfinished")));
    fs::write(&left, b"a part").unwrap();
    let writer = File::create(&in_hand).unwrap();
    writer.lock().unwrap();
    place.folder(PLENTY).prune(false).unwrap();
    assert!(!left.exists() && in_hand.exists());
    drop(writer);
    place.folder(PLENTY).prune(false).unwrap();
    assert!(!in_hand.exists());
}

#[test]
fn a_keeper_writes_what_it_took_beside_other_work() {
    let place = Place::new();
    let keeper = Keeper::new(place.folder(PLENTY), place.key());
    assert!(keeper.write().is_none());
    for (name, matrix) in matrices() {
        keeper.take(&name, &matrix);
    }
    let keeping = keeper.write().unwrap();
    let (_, total) = keeping.progress();
    assert_eq!(keeping.wait().unwrap(), Outcome::Written);
    let bytes: u64 = matrices().iter().map(|(_, m)| m.bytes() as u64).sum();
    assert_eq!(total, bytes);
    assert!(place.folder(PLENTY).find(&place.key()).is_some());
}
