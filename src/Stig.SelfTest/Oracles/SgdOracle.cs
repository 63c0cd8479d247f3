namespace Stig.SelfTest.Oracles;

/// <summary>Gradient descent with momentum.</summary>
internal static class SgdOracle
{
    /// <summary>Weights and velocity after one step for each gradient: b = momentum b + g, w = w - rate b.</summary>
    public static Tensor[] Run(Tensor weights, Tensor velocity, double learningRate, double momentum, params Tensor[] gradients)
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
