"""Data with subjects and speakers: one person's share, validation persons, turned phones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tf_odl.data import load
from tf_odl.data.dataset import checked, mixed
from tf_odl.data.features import with_features
from tf_odl.data.persons import one_person
from tf_odl.data.shift import parse_shift
from tf_odl.data.standardise import standardised, statistics
from tf_odl.data.validation import validation_part
from tf_odl.errors import UserError

SHARED = Path(__file__).parents[2] / "shared" / "data"
HAPT, SPEECH = SHARED / "hapt_har30", SHARED / "arabic_speech_commands"
needs_hapt = pytest.mark.skipif(not HAPT.is_dir(), reason="the HAPT windows are not there")
needs_speech = pytest.mark.skipif(not SPEECH.is_dir(), reason="the speech is not there")
RNG = np.random.default_rng(0)


def small(of_train: list[int], of_test: list[int], y_train: list[int], y_test: list[int]):
    """Samples whose first value is their place in the recording."""
    total = len(y_train) + len(y_test)
    x = np.stack([np.arange(total), np.arange(total) ** 2], axis=1).astype(np.float32)
    cut = len(y_train)
    return checked(
        "small",
        (x[:cut], np.array(y_train)),
        (x[cut:], np.array(y_test)),
        source="",
        groups=(np.array(of_train), np.array(of_test)),
        group_kind="subject",
    )


def test_one_person_trains_on_the_first_half_of_each_class():
    data = small([1, 1, 1, 1], [7] * 6 + [8], [0, 1, 0, 1], [0, 0, 1, 0, 1, 0, 1])
    person = one_person(data, 7)
    # Samples 4 .. 9 belong to person 7: class 0 are 4, 5, 7, 9, class 1 are 6, 8.
    assert person.x_train[:, 0].tolist() == [4, 5, 6] and person.y_train.tolist() == [0, 0, 1]
    assert person.x_test[:, 0].tolist() == [7, 8, 9] and person.y_test.tolist() == [0, 1, 0]
    assert person.groups_train is not None and set(person.groups_train) == {7}
    assert person.person == 7 and person.classes == data.classes
    assert one_person(data, 1).x_test[:, 0].tolist() == [2, 3]


def test_any_half_of_a_persons_samples():
    data = small([1, 1], [7] * 40 + [8], [0, 1], [0] * 20 + [1] * 20 + [1])
    person, again = one_person(data, 7, "random"), one_person(data, 7, "random")
    assert np.array_equal(person.x_train, again.x_train)
    train, test = (set(x[:, 0].astype(int).tolist()) for x in (person.x_train, person.x_test))
    assert train | test == set(range(2, 42)) and not train & test
    assert np.bincount(person.y_train).tolist() == [10, 10]
    assert max(train & set(range(2, 22))) > 12, "not the first half"
    assert np.all(np.diff(person.x_train[:, 0]) > 0), "in recorded order"
    with pytest.raises(UserError, match="recorded or random, got 'any'"):
        one_person(data, 7, "any")


def test_validation_parts_hold_whole_persons_and_never_a_test_sample():
    data = small([1, 1, 2, 2, 3, 3, 4, 5] * 2, [7, 7], [0, 1] * 8, [0, 1])
    parts = [validation_part(data, f"{k}/3") for k in (1, 2, 3)]
    of_test: list[int] = []
    for part in parts:
        assert part.groups_train is not None and part.groups_test is not None
        persons = set(part.groups_test.tolist())
        assert persons and not persons & set(part.groups_train.tolist())
        of_test += sorted(persons)
        places = np.concatenate([part.x_train[:, 0], part.x_test[:, 0]])
        assert sorted(places) == list(range(16)), "the training samples, and no others"
        assert np.array_equal(part.y_test, part.x_test[:, 0] % 2)
    assert sorted(of_test) == [1, 2, 3, 4, 5]


def test_validation_parts_of_a_set_without_persons_have_its_shares_of_the_classes():
    y = np.repeat([0, 1, 2], [30, 12, 6])
    x = np.arange(48, dtype=np.float32)[:, None]
    data = checked("a", (x, y), (x, y), source="")
    parts = [validation_part(data, f"{k}/6") for k in range(1, 7)]
    assert all(np.bincount(part.y_test).tolist() == [5, 2, 1] for part in parts)
    assert sorted(np.concatenate([part.x_test[:, 0] for part in parts])) == list(range(48))
    assert np.array_equal(parts[0].x_test, validation_part(data, "1/6").x_test)


@pytest.mark.parametrize("part", ["0/3", "4/3", "1/1", "2", "a/b", "-1/3", "1/0"])
def test_validation_parts_that_cannot_be(part):
    data = small([1, 2, 3], [7], [0, 1, 0], [0])
    with pytest.raises(UserError, match="K/N"):
        validation_part(data, part)


def test_more_validation_parts_than_persons():
    data = small([1, 2, 3], [7], [0, 1, 0], [0])
    with pytest.raises(UserError, match=r"3 subjects: --validation 1/3"):
        validation_part(data, "1/4")


def test_statistics_of_time_series():
    x = np.array([[[1, -1], [2, -3], [4, 3]]], np.float32)
    part = (np.repeat(x, 2, axis=0), np.array([0, 1]))
    found = with_features(checked("a", part, part, source=""), "statistics")
    mean, deviation = [7 / 3, -1 / 3], [np.sqrt(42 / 27), np.sqrt(56 / 9)]
    expected = [*mean, *deviation, 1, -3, 4, 3, 1.5, 4]
    assert np.allclose(found.x_train, [expected] * 2, atol=1e-6)
    assert found.x_test.dtype == np.float32
    with pytest.raises(UserError, match=r"needs time series.*has \[10\]"):
        with_features(found, "statistics")
    with pytest.raises(UserError, match="no features 'fft': --features is statistics"):
        with_features(found, "fft")


def test_persons_who_are_not_there():
    data = small([1, 1, 1, 1], [7] * 2, [0, 1, 0, 1], [0, 1])
    with pytest.raises(UserError, match=r"no subject 3.*test part are 7"):
        one_person(data, 3)
    with pytest.raises(UserError, match=r"subject 7 of small has 2 samples.*too few"):
        one_person(data, 7)
    with pytest.raises(UserError, match="digits does not say who"):
        load("digits", person=1)
    part = (np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    with pytest.raises(UserError, match="training set has 4 samples and 3 speakers"):
        checked("a", part, part, source="", groups=(np.zeros(3), np.zeros(4)), group_kind="speaker")


def test_mixing_moves_samples_labels_and_persons_together():
    data = small([3, 4] * 10, [7], [0, 1] * 10, [1])
    one, other = mixed(data), mixed(data)
    assert np.array_equal(one.x_train, other.x_train)
    place = one.x_train[:, 0].astype(int)
    assert sorted(place) == list(range(20)) and not np.array_equal(place, np.arange(20))
    assert np.array_equal(one.y_train, place % 2)
    assert one.groups_train is not None and np.array_equal(one.groups_train, 3 + place % 2)


@pytest.mark.parametrize("shape", [(40, 3), (40, 8, 3)])
def test_standardised_by_the_training_part(shape):
    x = RNG.normal([5, -2, 0], [3, 0.1, 0], shape).astype(np.float32)
    part = (x, np.arange(40) % 2)
    data = checked("a", part, (x[:10] + 1, part[1][:10]), source="")
    result = standardised(data, *statistics(data.x_train))
    flat = result.x_train.reshape(-1, 3)
    assert np.allclose(flat.mean(0), 0, atol=1e-5)
    assert np.allclose(flat.std(0), [1, 1, 0], atol=1e-5), "a constant channel is left alone"
    assert result.x_test.dtype == np.float32 and result.deviation is not None
    assert np.allclose(result.x_test * result.deviation + result.mean, data.x_test, atol=1e-4)


def test_a_turned_phone():
    gravity = np.zeros((1, 2, 9), np.float32)
    gravity[0, :, 6:] = [0, 0, 1]
    gravity[0, :, :3] = [1, 0, 0]
    turned = parse_shift("rotate3d:90,0,0")(gravity)  # right hand along x: z goes to -y
    assert np.allclose(turned[0, 1], [1, 0, 0, 0, 0, 0, 0, -1, 0], atol=1e-6)
    turned = parse_shift("rotate3d:90,0,90")(gravity)  # then along z: -y to x, x to y
    assert np.allclose(turned[0, 0], [0, 1, 0, 0, 0, 0, 1, 0, 0], atol=1e-6)
    x = RNG.normal(size=(5, 4, 9)).astype(np.float32)
    turned = parse_shift("rotate3d:10,20,30")(x)
    assert turned.dtype == np.float32 and turned.shape == x.shape
    lengths = [np.linalg.norm(a.reshape(5, 4, 3, 3), axis=-1) for a in (x, turned)]
    assert np.allclose(*lengths, atol=1e-5)
    a, b, c = np.radians([10, 20, 30])
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    matrix = np.array(about_z) @ np.array(about_y) @ np.array(about_x)
    assert np.allclose(turned[2, 3, 3:6], matrix @ x[2, 3, 3:6], atol=1e-5)


def test_gain_multiplies_and_shifts_join():
    x = RNG.normal(size=(5, 4, 3)).astype(np.float32)
    assert np.allclose(parse_shift("gain:1.5")(x), 1.5 * x)
    assert np.allclose(parse_shift("rotate3d:0,0,180+gain:2")(x), x * [-2, -2, 2], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("rotate3d:0,0,90", (3, 8, 8, 3), "time series"),
        ("rotate3d:0,0,90", (3, 8, 13), "triples, got 13"),
        ("rotate3d:90", (3, 8, 9), "rotate3d:0,0,90"),
        ("gain:2", (3, 8), "time series"),
        ("gain", (3, 8, 9), "gain:1.2"),
        ("rotate:10", (3, 8, 9), "images"),
        ("translate:1,1", (3, 8, 9), "images"),
    ],
)
def test_shifts_that_do_not_suit_the_samples(text, shape, message):
    with pytest.raises(UserError, match=message):
        parse_shift(text)(np.zeros(shape, np.float32))


def write_hapt_npz(folder: Path, **changes: np.ndarray) -> None:
    """Three subjects, two windows per activity and subject, and a transition; one sample each."""
    label = np.tile(np.repeat([1, 2, 3, 4, 5, 6, 7], 2), 3).astype(np.uint8)
    subject = np.repeat([1, 2, 3], 14).astype(np.uint8)
    arrays = {
        "x": RNG.normal(3, 2, (42, 9, 128)).astype(np.float16),
        "label": label,
        "subject": subject,
        "split": np.where(subject < 3, "train", "test"),
    }
    np.savez(folder / "hapt_windows_9x128.npz", **(arrays | changes))


def test_raw_windows_from_npz(tmp_path):
    write_hapt_npz(tmp_path)
    data = load("hapt-raw", data_dir=tmp_path)
    assert data.x_train.shape == (24, 128, 9) and data.x_test.shape == (12, 128, 9)
    assert data.classes == 6 and np.bincount(data.y_train).tolist() == [4] * 6
    assert data.group_kind == "subject"
    assert set(data.groups_train) == {1, 2} and set(data.groups_test) == {3}
    with np.load(tmp_path / "hapt_windows_9x128.npz") as file:
        window = file["x"][28].astype(np.float32)  # the first of subject 3
    raw = data.x_test[0] * data.deviation + data.mean
    assert np.allclose(raw, window.T, atol=1e-3), "channels last, in recorded order"


def test_a_person_is_standardised_like_the_training_persons_and_turned_before(tmp_path):
    write_hapt_npz(tmp_path)
    everyone = load("hapt-raw", data_dir=tmp_path)
    person = load("hapt-raw", data_dir=tmp_path, person=3, shift="rotate3d:0,0,90")
    assert np.array_equal(person.mean, everyone.mean)
    assert (len(person.x_train), len(person.x_test)) == (6, 6)
    rows = np.flatnonzero(everyone.y_test == 2)  # both windows of class 2, in recorded order
    raw = everyone.x_test[rows[1]] * everyone.deviation + everyone.mean
    found = person.x_test[person.y_test == 2][0] * person.deviation + person.mean
    assert np.allclose(found[:, 0], -raw[:, 1], atol=1e-3)
    assert np.allclose(found[:, 1], raw[:, 0], atol=1e-3)
    assert person.shift == "rotate3d:0,0,90"


def test_features_are_computed_from_turned_windows_and_standardised_by_the_others(tmp_path):
    write_hapt_npz(tmp_path)
    windows = load("hapt-raw", data_dir=tmp_path, person=3, shift="gain:2")
    plain = load("hapt-raw", data_dir=tmp_path, features="statistics")
    found = load("hapt-raw", data_dir=tmp_path, person=3, shift="gain:2", features="statistics")
    assert np.allclose(plain.x_train.mean(0), 0, atol=1e-4)
    assert np.array_equal(found.mean, plain.mean)
    raw = windows.x_test * windows.deviation + windows.mean
    assert np.allclose(
        found.x_test * found.deviation + found.mean,
        np.hstack(
            [raw.mean(1), raw.std(1), raw.min(1), raw.max(1), np.abs(np.diff(raw, axis=1)).mean(1)]
        ),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_validation_person_is_standardised_by_the_others(tmp_path):
    write_hapt_npz(tmp_path)
    everyone = load("hapt-raw", data_dir=tmp_path)
    others = load("hapt-raw", data_dir=tmp_path, validation="1/2")
    (held_out,) = set(others.groups_test.tolist())
    person = load("hapt-raw", data_dir=tmp_path, validation="1/2", person=held_out)
    assert np.array_equal(person.mean, others.mean)
    assert not np.array_equal(person.mean, everyone.mean)


def test_hapt_files_nobody_can_use(tmp_path):
    with pytest.raises(UserError, match=r"hapt-raw needs --data-dir.*hapt_windows_9x128.npz.*uci"):
        load("hapt-raw")
    with pytest.raises(UserError, match=r"does not hold hapt: put Train/X_train.txt.*uci"):
        load("hapt", data_dir=tmp_path)
    with pytest.raises(UserError, match="no folder"):
        load("hapt", data_dir=tmp_path / "nowhere")
    write_hapt_npz(tmp_path, subject=np.zeros(3))
    with pytest.raises(UserError, match=r"hapt_windows_9x128.npz has 42 samples, but subject \(3"):
        load("hapt-raw", data_dir=tmp_path)
    write_hapt_npz(tmp_path, x=np.zeros((42, 6, 128)))
    with pytest.raises(UserError, match=r"windows must be \[N, 9"):
        load("hapt-raw", data_dir=tmp_path)
    np.savez(tmp_path / "hapt_windows_9x128.npz", x=np.zeros(3))
    with pytest.raises(UserError, match=r"hapt_windows_9x128.npz lacks label, subject, split"):
        load("hapt-raw", data_dir=tmp_path)


def write_hapt_text(root: Path) -> None:
    for part, subjects in (("Train", (1, 2)), ("Test", (9,))):
        (root / part).mkdir()
        label = np.tile([5, 7, 1, 2, 3, 4, 6], len(subjects))
        rows = len(label)
        x = RNG.normal(size=(rows, 561))
        low = part.lower()
        np.savetxt(root / part / f"X_{low}.txt", x, fmt="%.8e")
        np.savetxt(root / part / f"y_{low}.txt", label, fmt="%d")
        np.savetxt(root / part / f"subject_id_{low}.txt", np.repeat(subjects, 7), fmt="%d")


def test_hapt_features_from_the_original_folder(tmp_path):
    folder = tmp_path / "HAPT Data Set"
    folder.mkdir()
    write_hapt_text(folder)
    data = load("hapt", data_dir=tmp_path)
    assert data.x_train.shape == (12, 561) and data.x_test.shape == (6, 561)
    assert data.y_test.tolist() == [4, 0, 1, 2, 3, 5] and set(data.groups_test) == {9}
    assert data.class_names[4] == "standing"
    first = np.loadtxt(folder / "Test" / "X_test.txt")[2]
    assert np.allclose(data.x_test[1] * data.deviation + data.mean, first, atol=1e-5)
    labels = folder / "Test" / "y_test.txt"
    for content, message in (("1\n2\n", "7 lines"), ("x\n", "cannot be read"), ("", "is empty")):
        labels.write_text(content)
        with pytest.raises(UserError, match=f"y_test.txt.*{message}"):
            load("hapt", data_dir=tmp_path)
    labels.unlink()
    with pytest.raises(UserError, match=r"y_test.txt is missing"):
        load("hapt", data_dir=tmp_path)


@needs_hapt
def test_the_recomputed_hapt_features():
    from sklearn.linear_model import LogisticRegression

    data = load("hapt", data_dir=HAPT)
    assert data.x_train.shape == (7415, 561) and data.x_test.shape == (2996, 561)
    counts = np.bincount(np.concatenate([data.y_train, data.y_test]))
    assert counts.tolist() == [1722, 1544, 1407, 1801, 1979, 1958]
    assert len(set(data.groups_train)) == 21 and len(set(data.groups_test)) == 9
    assert not set(data.groups_train) & set(data.groups_test)
    model = LogisticRegression(C=0.1, max_iter=300).fit(data.x_train[::8], data.y_train[::8])
    assert model.score(data.x_test, data.y_test) > 0.9


@needs_hapt
def test_the_raw_hapt_windows():
    data, features = load("hapt-raw", data_dir=HAPT), load("hapt", data_dir=HAPT)
    assert data.x_train.shape == (7415, 128, 9) and data.x_test.shape == (2996, 128, 9)
    for a, b in ((data.y_train, features.y_train), (data.groups_test, features.groups_test)):
        assert np.array_equal(a, b), "the samples of both sets are the same"
    raw = data.x_test * data.deviation + data.mean
    body, total = raw[..., :3], raw[..., 6:]
    still = np.isin(data.y_test, [3, 4, 5])
    assert np.abs(np.linalg.norm(total[still].mean(1), axis=-1) - 1).mean() < 0.05, "gravity, 1 g"
    assert body[~still].std() > 5 * body[still].std(), "walking moves"
    shares = []
    for subject in sorted(set(data.groups_test)):
        person = load("hapt-raw", data_dir=HAPT, person=int(subject), shift="rotate3d:0,0,90")
        assert np.array_equal(np.unique(person.y_train), np.arange(6))
        shares.append(len(person.x_train))
    assert 160 <= np.mean(shares) <= 170


@needs_speech
def test_the_arabic_speech_commands():
    from sklearn.linear_model import LogisticRegression

    data = load("arabic-speech", data_dir=SPEECH)
    assert data.x_train.shape == (960, 49, 13) and data.x_test.shape == (240, 49, 13)
    assert np.bincount(data.y_train).tolist() == [120] * 8
    assert np.bincount(data.y_test).tolist() == [30] * 8
    assert not set(data.groups_train) & set(data.groups_test) and len(set(data.groups_test)) == 6
    flat = data.x_train.reshape(960, -1)
    model = LogisticRegression(C=0.001, max_iter=300).fit(flat, data.y_train)
    assert model.score(data.x_test.reshape(240, -1), data.y_test) > 0.8
    person = load("arabic-speech", data_dir=SPEECH, person=14)
    # Five recordings of each of eight words: two to train, three to test.
    assert np.bincount(person.y_train).tolist() == [2] * 8
    assert np.bincount(person.y_test).tolist() == [3] * 8
