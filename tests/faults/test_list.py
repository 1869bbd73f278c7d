from plant import FAULTS, mistakes


def test_every_planted_fault_stands_once_in_the_code_and_names_tests_that_exist():
    assert len(FAULTS) >= 20
    assert [mistake for fault in FAULTS for mistake in mistakes(fault)] == []
