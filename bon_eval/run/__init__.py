"""Work with a model: sample, grade, force, before and after, a group of tasks, a plan, a check of the engine."""
