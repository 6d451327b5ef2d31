"""What feature maps are told apart by: how many pixels of the picture one of their cells stands for."""

STRIDES = (8, 16, 32)
# one cell for the whole picture, which holds the last hidden layer of the backbone's classifier
WHOLE = 0
