"""What two pools of responses to the same problems have to do with each other: what one solves and the other does not.

Base and tuned model, or any two. Rows are aligned by problem; where the pools differ in size every number is of random
subsets of one size, so that the larger pool has no advantage.
"""
