"""Offline: unlabelled pictures and unpaired poses → model files, and their evaluation.

    python -m training train face-lite --data faces --perceptual squeezenet.npz --out runs/face
    python -m training eval runs/face/model.safetensors faces/test/300w_helen_afw

Needs torch, numpy, scipy, cv2 and safetensors, nothing more.
"""
