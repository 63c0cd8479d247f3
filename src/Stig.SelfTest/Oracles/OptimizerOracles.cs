namespace Stig.SelfTest.Oracles;

/// <summary>Adam and stochastic gradient descent.</summary>
internal static class OptimizerOracles
{
    /// <summary>
    /// Adam (Kingma and Ba 2015, algorithm 1): weights and both moments after steps first, first + 1, ..., one for each gradient.
    /// </summary>
    public static Tensor[] Adam(
        Tensor weights, Tensor firstMoment, Tensor secondMoment, double learningRate, double beta1, double beta2, double epsilon,
        int firstStep, params Tensor[] gradients)
    {
        Tensor w = weights.Map(value => value);
        Tensor m = firstMoment.Map(value => value);
        Tensor v = secondMoment.Map(value => value);
        for (int k = 0; k < gradients.Length; k++)
        {
            int t = firstStep + k;
            for (int i = 0; i < w.Values.Length; i++)
            {
                double g = gradients[k].Values[i];
                m.Values[i] = (beta1 * m.Values[i]) + ((1 - beta1) * g);
                v.Values[i] = (beta2 * v.Values[i]) + ((1 - beta2) * g * g);
                double correctedM = m.Values[i] / (1 - Math.Pow(beta1, t));
                double correctedV = v.Values[i] / (1 - Math.Pow(beta2, t));
                w.Values[i] -= learningRate * correctedM / (Math.Sqrt(correctedV) + epsilon);
            }
        }

        return [w, m, v];
    }

    /// <summary>Weights and velocity after a step for each gradient: b = momentum b + g, w = w - rate b.</summary>
    public static Tensor[] Sgd(Tensor weights, Tensor velocity, double learningRate, double momentum, params Tensor[] gradients)
    {
        Tensor w = weights.Map(value => value);
        Tensor b = velocity.Map(value => value);
        foreach (Tensor gradient in gradients)
        {
            for (int i = 0; i < w.Values.Length; i++)
            {
                b.Values[i] = (momentum * b.Values[i]) + gradient.Values[i];
                w.Values[i] -= learningRate * b.Values[i];
            }
        }

        return [w, b];
    }
}
