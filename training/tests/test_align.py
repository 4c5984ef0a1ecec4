import align
import numpy


def test_a_rotated_and_scaled_copy_is_found_again():
    random = numpy.random.default_rng(1)
    vectors = random.normal(size=(2000, 8)).astype(numpy.float32) + 3
    turn, _ = numpy.linalg.qr(random.normal(size=(8, 8)))
    centred = align.unit(vectors - vectors.mean(axis=0))
    wanted = align.unit((centred @ turn) * numpy.linspace(0.5, 2, 8))
    mean, rotation, cosine = align.fit(vectors, wanted)
    assert numpy.allclose(mean, vectors.mean(axis=0))
    assert rotation.shape == (8, 8)
    assert cosine > 0.95
