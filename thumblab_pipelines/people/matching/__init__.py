"""Train a matching head on faces that a person labelled, judge it on unseen people, and publish it as a release.

A matching head is a linear map of face vectors. A good head makes faces of one person more similar to each other.

`labelled_faces` checks the input. `triplets` computes the loss and `fitting` trains one head. `cross_fitting` scores
pairs of faces with heads that were trained on neither person, and `verification` computes figures from the scores.
`training` does all of this, and `publishing` decides whether the head is served.
"""
