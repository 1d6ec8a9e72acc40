"""One obvious NumPy line for each kernel: slow, allocating, and plain enough to be right by reading."""

import numpy as np

LOG_2PI = np.log(2 * np.pi)


def split(head):
    half = head.shape[1] // 2
    return head[:, :half], head[:, half:]


def dense(params, x, n_out):
    return x @ params[:-n_out].reshape(-1, n_out) + params[-n_out:]


def dense_backward(params, x, dy, grads, need_dx):
    grads[:] = np.concatenate([(x.T @ dy).ravel(), dy.sum(0)])
    return dy @ params[: -dy.shape[1]].reshape(-1, dy.shape[1]).T if need_dx else np.empty((0, x.shape[1]))


def tanh(x):
    return np.tanh(x)


def tanh_backward(y, dy):
    return (1 - y**2) * dy


def relu(x):
    return np.maximum(x, 0)


def relu_backward(y, dy):
    return np.where(y > 0, dy, 0)


def reparameterize(head, eps):
    mu, log_var = split(head)
    return mu + np.exp(log_var / 2) * eps, -0.5 * (eps**2 + log_var + LOG_2PI).sum(-1)


def reparameterize_backward(head, eps, dz, dlog_q):
    _, log_var = split(head)
    dlog_var = 0.5 * (np.exp(log_var / 2) * eps * dz - dlog_q[:, :, None])
    return np.concatenate([dz.sum(0), dlog_var.sum(0)], axis=1)


def reparameterize_score(head, eps, dlog_q):
    _, log_var = split(head)
    dmu, dlog_var = eps / np.exp(log_var / 2) * dlog_q[:, :, None], 0.5 * (eps**2 - 1) * dlog_q[:, :, None]
    return np.concatenate([dmu.sum(0), dlog_var.sum(0)], axis=1)


def diagonal_kl(head):
    mu, log_var = split(head)
    return 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(1)


def diagonal_kl_backward(head, dkl):
    mu, log_var = split(head)
    return np.concatenate([mu, (np.exp(log_var) - 1) / 2], axis=1) * dkl[:, None]


def diagonal_log_prob(head, z):
    mu, log_var = split(head)
    return -0.5 * ((z - mu) ** 2 / np.exp(log_var) + log_var + LOG_2PI).sum(-1)


def repeated(x, n_rows):
    return np.tile(x, (n_rows // len(x), 1))


def bernoulli(logits, x):
    x, e = repeated(x, len(logits)), np.exp(-np.abs(logits))
    log_prob = (x * logits - np.maximum(logits, 0) - np.log(1 + e)).sum(1)
    return log_prob, x - np.where(logits > 0, 1, e) / (1 + e)


def weigh_rows(scores, dlog_prob):
    return scores * dlog_prob[:, None]


def gaussian_shared(mean, log_var, x):
    d, v = repeated(x, len(mean)) - mean, np.exp(log_var[0])
    return -0.5 * (d**2 / v + np.log(2 * np.pi * v)).sum(1), d / v


def gaussian_per_pixel(out, x):
    mean, log_var = split(out)
    d, v = repeated(x, len(out)) - mean, np.exp(log_var)
    score = np.concatenate([d / v, 0.5 * (d**2 / v - 1)], axis=1)
    return -0.5 * (d**2 / v + np.log(2 * np.pi * v)).sum(1), score


def pathwise_rows(df, eps):
    return np.stack([df, df * eps], axis=1)


def score_rows(f, baseline, eps, sigma):
    return (f[:, None, None] - baseline) * np.stack([eps, eps**2 - 1], axis=1) / sigma


def earlier_average(f, decay):
    return np.array([0.0, *(np.average(f[:k], weights=decay ** np.arange(k)[::-1]) for k in range(1, len(f)))])


def adam(params, grads, m, v, hyper):
    beta1, beta2, step, eps = hyper
    m[:] = beta1 * m + (1 - beta1) * grads
    v[:] = beta2 * v + (1 - beta2) * grads**2
    params -= step * m / (np.sqrt(v) + eps)


def rmsprop(params, grads, mean, square, hyper):
    decay, lr, eps, centred = hyper
    mean[:] = decay * mean + (1 - decay) * grads
    square[:] = decay * square + (1 - decay) * grads**2
    params -= lr * grads / (np.sqrt(np.maximum(square - centred * mean**2, 0)) + eps)


def triangle(head, n):
    """Return mu (B, n) and L (B, n, n)."""
    L = np.zeros((len(head), n, n))
    L[:, *np.tril_indices(n, -1)] = head[:, 2 * n :]
    return head[:, :n], L + np.eye(n) * np.exp(head[:, n : 2 * n])[:, :, None]


def full_sample(head, eps):
    mu, L = triangle(head, eps.shape[2])
    log_q = -0.5 * (eps**2 + LOG_2PI).sum(-1) - np.log(np.linalg.det(L))
    return mu + np.einsum("bij,kbj->kbi", L, eps), log_q


def full_backward(head, eps, dz, dlog_q):
    n, (_, L) = eps.shape[2], triangle(head, eps.shape[2])
    dL = np.einsum("kbi,kbj->bij", dz, eps) - dlog_q.sum(0)[:, None, None] * np.linalg.inv(L).transpose(0, 2, 1)
    log_diagonal = (dL * L)[:, np.arange(n), np.arange(n)]
    return np.concatenate([dz.sum(0), log_diagonal, dL[:, *np.tril_indices(n, -1)]], axis=1)


def full_slope(head, eps):
    return -np.einsum("bji,kbj->kbi", np.linalg.inv(triangle(head, eps.shape[2])[1]), eps)


def full_log_prob(head, z):
    mu, L = triangle(head, z.shape[2])
    u = np.einsum("bij,kbj->kbi", np.linalg.inv(L), z - mu)
    return -0.5 * (u**2 + LOG_2PI).sum(-1) - np.log(np.linalg.det(L))


def gate(z, out, blend):
    m, s = out[:, : z.shape[1]], 1 / (1 + np.exp(-out[:, z.shape[1] :]))
    return s * z + (1 - s if blend else 1) * m, np.log(s).sum(1)


def gate_backward(z, out, blend, dy, dlog_det):
    m, s = out[:, : z.shape[1]], 1 / (1 + np.exp(-out[:, z.shape[1] :]))
    ds = dy * (z - m if blend else z) + dlog_det[:, None] / s
    return s * dy, np.concatenate([(1 - s if blend else 1) * dy, ds * s * (1 - s)], axis=1)


def planar(z, w, u, b, c):
    path, h, log_det = [z], [], 0
    for t in range(w.shape[1]):
        h.append(np.tanh((w[:, t] * path[-1]).sum(-1) + b[:, t]))
        path.append(path[-1] + u[:, t] * h[-1][:, :, None])
        log_det = log_det + np.log(1 + (c[:, t] - 1) * (1 - h[-1] ** 2))
    return np.array(path), np.array(h), log_det


def planar_backward(path, h, w, u, c, dz, dlog_det):
    dw, du, db, dc = np.empty_like(w), np.empty_like(u), np.empty_like(c), np.empty_like(c)
    for t in range(len(h))[::-1]:
        ddet, rest = dlog_det / (1 + (c[:, t] - 1) * (1 - h[t] ** 2)), 1 - h[t] ** 2
        da = ((u[:, t] * dz).sum(-1) - 2 * h[t] * (c[:, t] - 1) * ddet) * rest
        dw[:, t], du[:, t] = (da[:, :, None] * path[t]).sum(0), (dz * h[t][:, :, None]).sum(0)
        db[:, t], dc[:, t] = da.sum(0), (ddet * rest).sum(0)
        dz = dz + da[:, :, None] * w[:, t]
    return dz, dw, du, db, dc


def planar_slope(slope, h, w, u, c):
    slope = slope.copy()
    for t, k, b in np.ndindex(h.shape):
        rest, det = 1 - h[t, k, b] ** 2, 1 + (c[b, t] - 1) * (1 - h[t, k, b] ** 2)
        slope[k, b] += 2 * h[t, k, b] * (c[b, t] - 1) * rest / det * w[b, t]
        slope[k, b] -= rest / det * w[b, t] * (u[b, t] @ slope[k, b])  # J^-T, where w^T u = c - 1
    return slope


def planar_inverse(z, w, u, b, c):
    log_det = 0
    for t in range(w.shape[1])[::-1]:
        y = (w[:, t] * z).sum(-1) + b[:, t]
        low, high = y - abs(c[:, t] - 1), y + abs(c[:, t] - 1)
        for _ in range(100):
            a = (low + high) / 2
            above = a + (c[:, t] - 1) * np.tanh(a) > y
            low, high = np.where(above, low, a), np.where(above, a, high)
        z = z - u[:, t] * np.tanh(a)[:, :, None]
        log_det = log_det + np.log(1 + (c[:, t] - 1) * (1 - np.tanh(a) ** 2))
    return z, log_det


def planar_bend(w, v):
    a = (w * v).sum(-1)
    m = np.log(1 + np.exp(a) * (np.e - 1)) - 1
    return v * (m / a)[:, :, None], 1 + m


def planar_bend_backward(w, v, du, dc):
    a = (w * v).sum(-1)
    m, slope = np.log(1 + np.exp(a) * (np.e - 1)) - 1, 1 / (1 + np.exp(-a) / (np.e - 1))
    da = (slope - m / a) / a * (v * du).sum(-1) + slope * dc
    return v * da[:, :, None], du * (m / a)[:, :, None] + w * da[:, :, None]


def patches(x, g):
    n_channels, height, width, kh, kw, stride, padding = g
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x.reshape(-1, n_channels, height, width), border)
    return np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))[:, :, ::stride, ::stride]


def conv(params, x, n_out, g):
    W, found = params[:-n_out].reshape(n_out, g[0], g[3], g[4]), patches(x, g)
    y = np.einsum("bcyxij,ocij->boyx", found, W) + params[-n_out:, None, None]
    return y.reshape(len(x), -1)


def conv_matrix(weights, g):
    n_in = g[0] * g[1] * g[2]
    n_out = len(weights) // (g[0] * g[3] * g[4])
    return conv(np.concatenate([weights, np.zeros(n_out)]), np.eye(n_in), n_out, g)  # (C H W, n_out h w)


def conv_backward(params, x, dy, grads, g, need_dx):
    n_out = len(params) // (g[0] * g[3] * g[4] + 1)
    found = patches(x, g)
    dy4 = dy.reshape(len(x), n_out, *found.shape[2:4])
    grads[:] = np.concatenate([np.einsum("bcyxij,boyx->ocij", found, dy4).ravel(), dy4.sum((0, 2, 3))])
    return dy @ conv_matrix(params[:-n_out], g).T if need_dx else np.empty((0, x.shape[1]))


def conv_transpose(params, x, g):
    return x @ conv_matrix(params[: -g[0]], g).T + np.repeat(params[-g[0] :], g[1] * g[2])


def conv_transpose_backward(params, x, dy, grads, g, need_dx):
    found = patches(dy, g)
    x4 = x.reshape(len(x), -1, *found.shape[2:4])
    biases = dy.reshape(len(dy), g[0], -1).sum((0, 2))
    grads[:] = np.concatenate([np.einsum("bcyxij,boyx->ocij", found, x4).ravel(), biases])
    return dy @ conv_matrix(params[: -g[0]], g) if need_dx else np.empty((0, x.shape[1]))


def gru_step(a, hU, h):
    H = h.shape[1]
    r, u = split(1 / (1 + np.exp(-(a + hU)[:, : 2 * H])))
    n = np.tanh(a[:, 2 * H :] + r * hU[:, 2 * H :])
    return np.concatenate([r, u], axis=1), n, (1 - u) * n + u * h


def gru_backward(ru, n, hU, h, dh):
    (r, u), c = split(ru), hU[:, -n.shape[1] :]
    dn, du = dh * (1 - u) * (1 - n**2), dh * (h - n) * u * (1 - u)
    dr = dn * c * r * (1 - r)
    return np.concatenate([dr, du, dn], axis=1), np.concatenate([dr, du, dn * r], axis=1), dh * u
