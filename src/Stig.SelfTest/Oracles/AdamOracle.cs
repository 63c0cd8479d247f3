namespace Stig.SelfTest.Oracles;

/// <summary>Adam (Kingma and Ba 2015, algorithm 1).</summary>
internal static class AdamOracle
{
    /// <summary>Weights and both moments after steps first, first + 1, ..., one for each gradient.</summary>
    public static Tensor[] Run(
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
}
