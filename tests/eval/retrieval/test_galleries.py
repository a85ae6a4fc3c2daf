import numpy as np

from eval.predictions import Pool
from eval.retrieval.galleries import draw_galleries


def pool_of(num_identities: int, voices: int = 2, faces: int = 3) -> Pool:
    return Pool.of_voices(np.repeat(np.arange(num_identities), voices), np.repeat(np.arange(num_identities), faces))


def test_every_draw_asks_for_the_face_of_the_same_person_among_different_people():
    pool = pool_of(30)
    for gallery in draw_galleries(pool, sizes=(10,), num_draws=20):
        assert gallery.size == len(gallery.draws[0].faces)
        for draw in gallery.draws:
            owners = pool.face_identities[draw.faces]
            assert len(set(owners.tolist())) == gallery.size
            assert (owners[draw.targets] == pool.query_identities[draw.queries]).all()


def test_galleries_larger_than_the_split_are_left_out_and_the_whole_split_is_always_there():
    galleries = draw_galleries(pool_of(30), sizes=(10, 100, 1000), num_draws=3)
    assert [(g.kind, g.size) for g in galleries] == [("random", 10), ("whole_split", 30)]


def test_draws_depend_on_the_seed_only_and_not_on_the_other_galleries():
    alone = draw_galleries(pool_of(30), sizes=(10,), num_draws=4, seed=3)[0]
    together = draw_galleries(pool_of(30), sizes=(5, 10, 20), num_draws=4, seed=3)[1]
    other = draw_galleries(pool_of(30), sizes=(10,), num_draws=4, seed=4)[0]
    assert [d.faces.tolist() for d in alone.draws] == [d.faces.tolist() for d in together.draws]
    assert [d.faces.tolist() for d in alone.draws] != [d.faces.tolist() for d in other.draws]


def test_people_without_a_voice_stand_in_no_gallery():
    pool = Pool.of_voices(np.array([0, 1, 2]), np.arange(10))
    (gallery,) = draw_galleries(pool, sizes=(100,))
    assert sorted(pool.face_identities[gallery.draws[0].faces].tolist()) == [0, 1, 2]


def test_same_sex_galleries_hold_one_sex_each_and_both_sexes_are_asked():
    sexes = np.array(["female"] * 12 + ["male"] * 8 + [""] * 10)
    gallery = draw_galleries(pool_of(30), sizes=(), num_draws=4, sexes=sexes)[-1]
    assert (gallery.kind, gallery.size) == ("same_sex", 8)
    seen = [set(sexes[pool_of(30).face_identities[d.faces]].tolist()) for d in gallery.draws]
    assert seen == [{"female"}, {"male"}, {"female"}, {"male"}]


def test_a_face_is_never_its_own_right_answer():
    # People 0..4 have two pictures, people 5..9 a single one: these are nobody's question but stay wrong
    # answers.
    owners = np.concatenate([np.repeat(np.arange(5), 2), np.arange(5, 10)])
    pool = Pool(owners, owners, np.arange(15))
    (gallery,) = draw_galleries(pool, sizes=(100,))
    for draw in gallery.draws:
        assert len(draw.faces) == 10 and len(draw.queries) == 5
        assert (draw.faces[draw.targets] != draw.queries).all()
        assert (owners[draw.faces[draw.targets]] == owners[draw.queries]).all()


def test_one_person_makes_no_gallery():
    assert draw_galleries(pool_of(1)) == []
