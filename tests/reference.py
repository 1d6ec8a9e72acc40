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


def exp_minus_abs(logits):
    return np.exp(-np.abs(logits))


def bernoulli_log_prob(logits, x, e):
    return (repeated(x, len(logits)) * logits - np.maximum(logits, 0) - np.log(1 + e)).sum(1)


def bernoulli_backward(logits, x, e, dlog_prob):
    return (repeated(x, len(logits)) - np.where(logits > 0, 1, e) / (1 + e)) * dlog_prob[:, None]


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
