"""The search page: one query clean, attacked and purified, and what the system finds for each.

A program over the evaluation, like ``evaluate.py``; nothing imports it. ``desk.py`` searches, ``markup.py`` writes what
was found as HTML, ``page.py`` is the Gradio part and the only file that needs the extra ``app``.
"""
