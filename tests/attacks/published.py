"""Networks as the ProS-GAN repository lays them out: for the names and shapes of its state dicts only."""

from torch import nn


def published_prototype(bits, classes, classifier=True):
    net = nn.Module()
    net.feature = nn.Sequential(nn.Linear(classes, 4096), nn.ReLU(True), nn.Linear(4096, 512))
    net.hashing = nn.Sequential(nn.Linear(512, bits), nn.Tanh())
    if classifier:
        net.classifier = nn.Sequential(nn.Linear(512, classes), nn.Sigmoid())
    return net


def block(width):
    net, layers = nn.Module(), []
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.InstanceNorm2d(width), nn.ReLU(True)]
    net.main = nn.Sequential(*layers[:-1])
    return net


def published_generator(side=14, stages=4):
    net, label = nn.Module(), nn.Module()
    label.fc = nn.Sequential(nn.Linear(512, 128 * side * side), nn.ReLU(True))
    layers, width = [], 128
    for _ in range(stages):
        layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), nn.InstanceNorm2d(width // 2), nn.ReLU()]
        width //= 2
    label.transform = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, 1, 1, bias=False))
    net.label_encoder = label
    encoder = [nn.Conv2d(6, 64, 7, 1, 3, bias=True), nn.InstanceNorm2d(64), nn.ReLU(True)]
    for width in (64, 128):
        encoder += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=True), nn.InstanceNorm2d(2 * width), nn.ReLU(True)]
    decoder = [block(256) for _ in range(3)]
    for width in (256, 128):
        decoder += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.InstanceNorm2d(width // 2),
            nn.ReLU(),
        ]
    net.image_encoder = nn.Sequential(*encoder, *(block(256) for _ in range(3)))
    net.decoder = nn.Sequential(*decoder)
    net.residual = nn.Sequential(nn.Conv2d(67, 3, 3, 1, 1, bias=False), nn.Tanh())
    return net
