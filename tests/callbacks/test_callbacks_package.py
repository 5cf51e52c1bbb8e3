"""What an evaluation shows by default."""

import callbacks


def test_an_evaluation_shows_everything():
    shown = callbacks.evaluation_callbacks(3)
    kinds = {type(callback).__name__ for callback in shown}
    assert kinds == {"QueryPictures", "PurificationTrajectory", "RetrievalLists", "CodeStatistics", "CellSummary"}
    by_kind = {type(callback).__name__: callback for callback in shown}
    assert by_kind["QueryPictures"].count == 3
    assert by_kind["RetrievalLists"].count == 3
    assert {type(callback).__name__ for callback in callbacks.evaluation_callbacks(20)} == kinds


def test_the_board_is_found_among_several_loggers(tmp_path):
    from lightning import Trainer
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    from callbacks.logging import writer

    board = TensorBoardLogger(str(tmp_path), name="", version="")
    for loggers, expected in (([CSVLogger(str(tmp_path)), board], board.experiment), (False, None)):
        trainer = Trainer(logger=loggers, accelerator="cpu", enable_checkpointing=False)
        assert writer(trainer) is expected
