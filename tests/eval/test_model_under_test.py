from eval.model_under_test import sample_noise


def test_noise_depends_on_the_key_alone():
    together, alone = sample_noise(["a", "b", "c"], 16), sample_noise(["b"], 16)
    assert (together[1] == alone[0]).all() and (together[0] != together[1]).any()
    assert sample_noise(["a"], 0).shape == (1, 0) and sample_noise([], 4).shape == (0, 4)
