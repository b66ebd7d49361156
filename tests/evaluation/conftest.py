from noiseda.restoration.torchvision_schema import import_torchvision

import_torchvision()  # before the oracles, torchmetrics and piq, import it
